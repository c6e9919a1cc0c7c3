// What changed within a sentence, word by word: the longest words in common stay.

/** [{kind: "same" | "gone" | "new", text}] */
export function wordChanges(before, after) {
  const [old, now] = [before.split(/(\s+)/), after.split(/(\s+)/)];
  const common = lengths(old, now);
  const found = [];
  let [i, j] = [0, 0];
  while (i < old.length || j < now.length) {
    if (i < old.length && j < now.length && old[i] === now[j]) {
      add(found, "same", old[i]);
      i++, j++;
    } else if (j >= now.length || (i < old.length && common[i + 1][j] >= common[i][j + 1])) add(found, "gone", old[i++]);
    else add(found, "new", now[j++]);
  }
  return found;
}

/** How many words the ends of both have in common, from every place on. */
function lengths(old, now) {
  const table = Array.from({ length: old.length + 1 }, () => new Uint16Array(now.length + 1));
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      table[i][j] = old[i] === now[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    }
  }
  return table;
}

function add(found, kind, text) {
  if (found.at(-1)?.kind === kind) found.at(-1).text += text;
  else found.push({ kind, text });
}

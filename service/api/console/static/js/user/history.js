// What the user did, newest first.

import { get } from "../api.js";
import { h } from "../dom.js";
import { busyWhile, card, empty } from "../parts.js";
import { interactionItem } from "./evidence.js";

const PAGE_SIZE = 8;

export async function historyCard(path, signal) {
  const page = await get(path("/interactions"), { query: { limit: PAGE_SIZE }, signal });
  if (!page.interactions.length) return card("History", {}, empty("Nothing is stored", "No interaction of this user is held."));
  const list = h("ol", {}, page.interactions.map(interactionItem));
  const more = h("button", { type: "button", hidden: !page.next_cursor }, "Show more");
  let cursor = page.next_cursor;
  more.addEventListener("click", () =>
    busyWhile(more, "Loading …", async () => {
      const next = await get(path("/interactions"), { query: { limit: 3 * PAGE_SIZE, cursor }, signal });
      list.append(...next.interactions.map(interactionItem));
      cursor = next.next_cursor;
      more.hidden = !cursor;
    }),
  );
  return card("History", {}, list, more);
}

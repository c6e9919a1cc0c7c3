// Which page is shown: what stands behind the `#`. Ids stay in the browser's address bar; the
// server never sees them in a path of the console.

/** `#/users/ana?from=2` as {parts: ["users", "ana"], query}. */
export function place(hash = location.hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decoded);
  return { parts, query: new URLSearchParams(query) };
}

/** The address of a page: `to("users", id)`. */
export function to(...parts) {
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}

export function go(...parts) {
  location.hash = to(...parts);
}

/** Shows the page anew, with what is true now. */
export function reload() {
  dispatchEvent(new HashChangeEvent("hashchange"));
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Server-sent events (WHATWG HTML, 9.2), as far as the API uses them. */
export interface ServerSentEvent {
  name: string;
  data: string;
}

export async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of body) {
    const blocks = (rest + decoder.decode(bytes, { stream: true })).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      yield { name: field(block, "event"), data: field(block, "data") };
    }
  }
}

function field(block: string, name: string): string {
  const line = block.split("\n").find((found) => found.startsWith(`${name}: `));
  return line?.slice(name.length + 2) ?? "";
}

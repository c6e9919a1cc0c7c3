/** A client of Bump, typed from the API's own OpenAPI document. */
import createClient, { type Client } from "openapi-fetch";

import type { components, paths } from "./schema.js";
import { events } from "./events.js";

export type { components, operations, paths } from "./schema.js";
export type Bump = Client<paths>;
export type Problem = components["schemas"]["Problem"];
export type PersonalizeRequest = Omit<components["schemas"]["PersonalizeIn"], "stream">;

export interface BumpOptions {
  /** Where the API is; the default is that of `bump up`. */
  baseUrl?: string | undefined;
  /** On loopback `bump up` needs none. */
  apiKey?: string | undefined;
}

/** What the API said went wrong (RFC 9457). `problem.type` is stable: branch on it. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";

  constructor(readonly problem: Problem) {
    super(`${problem.title}: ${problem.detail}`);
  }
}

/** Every route of the API: `bump.GET("/v1/users/{user_id}/profile", { params: … })`. */
export function createBump(options: BumpOptions = {}): Bump {
  const headers = options.apiKey ? { Authorization: `Bearer ${options.apiKey}` } : {};
  return createClient<paths>({ baseUrl: options.baseUrl ?? "http://127.0.0.1:8000", headers });
}

/** The data of an answer, for those who would rather catch a ProblemError than ask for `error`. */
export async function unwrap<Data>(
  call: Promise<{ data?: Data; error?: unknown; response: Response }>,
): Promise<Data> {
  const { data, error, response } = await call;
  if (!response.ok) throw new ProblemError(asProblem(error, response));
  return data as Data;
}

/** A personalised answer, piece by piece. Ends with a ProblemError when the model fails. */
export async function* personalizeStream(
  bump: Bump,
  request: PersonalizeRequest,
  signal?: AbortSignal,
): AsyncGenerator<string, void> {
  const body = await unwrap(
    bump.POST("/v1/personalize", {
      body: { ...request, stream: true },
      parseAs: "stream",
      ...(signal ? { signal } : {}),
    }),
  );
  for await (const event of events(body as ReadableStream<Uint8Array>)) {
    if (event.name === "delta") yield JSON.parse(event.data).text;
    if (event.name === "error") throw new ProblemError(JSON.parse(event.data));
    if (event.name === "done") return;
  }
  throw new Error("The answer ended before it was done.");
}

function asProblem(error: unknown, response: Response): Problem {
  if (typeof error === "object" && error !== null && "type" in error) return error as Problem;
  const detail = "Not an answer of Bump's API: is the address right?";
  return { type: "about:blank", title: response.statusText, status: response.status, detail };
}

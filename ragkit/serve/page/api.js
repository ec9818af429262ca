// Speaks to /ragkit/v1, which docs/serve.md describes.

const BASE = "/ragkit/v1";

/** What went wrong, as the server says it; `type` is "Unreachable" where it did not answer. */
export class RequestFailure extends Error {
  constructor(type, message, status = 0) {
    super(message);
    this.type = type;
    this.status = status;
  }
}

async function send(path, options) {
  let reply;
  try {
    reply = await fetch(BASE + path, options);
  } catch (exc) {
    if (exc.name === "AbortError") throw exc;
    throw new RequestFailure("Unreachable", "");
  }
  if (reply.ok) return reply;
  let told = {};
  try {
    told = (await reply.json()).error || {};
  } catch {
    // Not JSON: something else answered in the server's place. Its status is said below.
  }
  throw new RequestFailure(told.type || "RequestError", told.message || `HTTP ${reply.status}`, reply.status);
}

/** The address of something that the page does not fetch itself, such as a picture. */
export function address(path, parameters) {
  return `${BASE}${path}?${new URLSearchParams(parameters)}`;
}

/** GET a JSON value. */
export async function read(path, parameters = {}, signal = undefined) {
  const query = new URLSearchParams(parameters).toString();
  return (await send(query ? `${path}?${query}` : path, { signal })).json();
}

/** POST a JSON value, and read one. */
export async function post(path, body, signal = undefined) {
  return (await posted(path, body, signal)).json();
}

/** Send a file. */
export async function put(path, file) {
  const headers = { "Content-Type": "application/octet-stream" };
  return (await send(path, { method: "PUT", headers, body: file })).json();
}

/** DELETE what a path names. */
export async function cancel(path) {
  return (await send(path, { method: "DELETE" })).json();
}

/** The events of a path as they come. */
export async function* watch(path) {
  yield* serverSent(await send(path, {}));
}

function posted(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  return send(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

/** The address of the page that shows a place of a document. */
export function viewAddress(index, place) {
  const query = { index, doc: place.doc_id, start: place.start, end: place.end };
  return `/view?${new URLSearchParams(query)}`;
}

/** Ask, and give the events as they come: `{name, data, raw}`, `raw` as the server wrote it. */
export async function* ask(body, signal) {
  yield* serverSent(await posted("/ask", { ...body, stream: true }, signal));
}

/** The events of a reply. */
export async function* serverSent(reply) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  try {
    for (;;) {
      const { done, value } = await cut(reader);
      if (done) return;
      waiting += value;
      const blocks = waiting.split("\n\n");
      waiting = blocks.pop();
      for (const block of blocks) {
        const event = parsed(block);
        if (event) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function cut(reader) {
  try {
    return await reader.read();
  } catch (exc) {
    if (exc.name === "AbortError") throw exc;
    throw new RequestFailure("Unreachable", "");
  }
}

function parsed(block) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  if (!data.length) return null;
  const raw = data.join("\n");
  return { name, data: JSON.parse(raw), raw };
}

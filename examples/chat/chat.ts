/**
 * The chat page. The client keeps the connection and the order of what was said; all that is done here is to show it,
 * and to send what is typed.
 */
import { createClient, type Gap, type Message } from "../../client/mod.ts";

/** What a message carries. `from` is on trust: the server tells who is there, not who said something. */
interface Said {
  readonly id: string;
  readonly from: string;
  readonly text: string;
}

const LOBBY = "chat.lobby";
const SHOWN_HISTORY = 50;
/** Names this tab's line to the balancer, which can cut it. */
const line = crypto.randomUUID();
const me = new URLSearchParams(location.search).get("name") ?? "";

const client = createClient<{ [LOBBY]: Said }>({
  url: `${location.origin.replace("http", "ws")}/ws?line=${line}`,
  token,
  backoff: { maxMs: 2_000 },
  // Whatever was under way when the line was cut is sent again, and shown once by its id.
  repeat: true,
});

if (me !== "") {
  element("door").hidden = true;
  element("room").hidden = false;
  element("say").addEventListener("submit", say);
  element("cut").addEventListener("click", cutOrMend);
  client.on("state", ({ state, retryInMs = 0 }) => {
    element("state").dataset["state"] = state;
    element("state").textContent = state === "open"
      ? "connected"
      : state === "waiting"
      ? `offline, next try in ${(retryInMs / 1_000).toFixed(1)} s`
      : state;
  });
  await enter();
}

/** What was said before, and from exactly there on whatever comes. */
async function enter(): Promise<void> {
  const past = await client.history(LOBBY, { limit: SHOWN_HISTORY });
  for (const { offset, data } of past.messages) show({ offset, data });
  client.subscribe(LOBBY, show, {
    since: past,
    onGap: showGap,
    onSubscribed: showMembers,
    onPresence: showMembers,
  });
}

/** A token that says who I am: asked for each connection, and again before it runs out. */
async function token(_: unknown, signal: AbortSignal): Promise<string> {
  const response = await fetch(`/token?name=${encodeURIComponent(me)}`, { signal });
  if (!response.ok) throw new Error(await response.text());
  return await response.text();
}

async function say(event: Event): Promise<void> {
  event.preventDefault();
  const input = element<HTMLInputElement>("text");
  const said = { id: crypto.randomUUID(), from: me, text: input.value };
  input.value = "";
  const row = addRow("outbox", said, "on its way");
  row.id = said.id;
  try {
    // While the line is down it waits in the client's queue.
    await client.publish(LOBBY, said);
  } catch (error) {
    row.className = "lost";
    row.querySelector("small")?.replaceChildren(`not sent: ${(error as Error).message}`);
  }
}

function show({ offset, data, replayed }: Pick<Message<Said>, "offset" | "data" | "replayed">): void {
  const sent = document.getElementById(data.id);
  // It has been sent twice, and is shown already.
  if (sent?.parentElement?.id === "messages") return;
  sent?.remove();
  const note = replayed && data.from !== me ? `#${offset}, caught up` : `#${offset}`;
  addRow("messages", data, note).id = data.id;
}

function showGap({ from = 1, to = 0, reason }: Gap): void {
  const row = document.createElement("li");
  row.className = "gap";
  row.textContent = to < from
    ? `Something may be missing here (${reason})`
    : `${to - from + 1} missing here (${reason})`;
  element("messages").append(row);
}

async function showMembers(): Promise<void> {
  const { members } = await client.presence(LOBBY);
  element("members").replaceChildren(...members.map(({ user }) => {
    const row = document.createElement("li");
    row.textContent = user === me ? `${user} (you)` : user;
    return row;
  }));
}

function addRow(list: "messages" | "outbox", { from, text }: Said, note: string): HTMLElement {
  const row = element<HTMLTemplateElement>("message").content.firstElementChild?.cloneNode(
    true,
  ) as HTMLElement;
  row.classList.toggle("mine", from === me);
  row.querySelector("b")?.append(from);
  row.querySelector("span")?.append(text);
  row.querySelector("small")?.append(note);
  element(list).append(row);
  row.scrollIntoView({ block: "end" });
  return row;
}

async function cutOrMend(): Promise<void> {
  const isCut = element("cut").classList.toggle("cut");
  element("cut").textContent = isCut ? "Mend the line" : "Cut the line";
  await fetch(`/${isCut ? "cut" : "mend"}?line=${line}`, { method: "POST" });
  // Browsers say so when their own network is back, and the client does not wait any longer.
  if (!isCut) dispatchEvent(new Event("online"));
}

function element<E extends HTMLElement>(id: string): E {
  return document.getElementById(id) as E;
}

/**
 * The page's connection: opens a WebSocket, shows the key, hands on what the nodes say, and comes back when it is lost.
 * The key goes into the first message, so that no address, header or log ever holds it. It knows no page.
 */

/** @typedef {import("../figures.ts").NodeFigures} NodeFigures */
/**
 * @typedef {{
 *   figures(figures: NodeFigures): void;
 *   live(): void;
 *   waiting(why: string): void;
 *   refused(why: string): void;
 * }} Listener `refused`: it does not try again. `waiting`: it will.
 */

const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 10_000;
/** Figures come every second; without any for this long the connection is taken for dead. */
const SILENCE_MS = 10_000;
const NODES = "$nodes";
const AUTH_ID = 1;
/** What the server closes with; see docs/protocol.md. */
const TOKEN_EXPIRED = 4005;
const DISCONNECTED = 4006;
const SUBPROTOCOL = "millrace.v1.json";

/**
 * A path of the server's, relative to this page: a proxy may have put something in front of both.
 * @param {string} path with its slash
 */
function addressOf(path) {
  return new URL(`.${path}`, location.href);
}

export class Connection {
  /** @type {string} */
  #path;
  /** @type {string} */
  #key;
  /** @type {Listener} */
  #listener;
  /** @type {WebSocket | undefined} */
  #socket;
  #attempts = 0;
  #isEnded = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {string} path of the WebSocket endpoint
   * @param {string} key
   * @param {Listener} listener
   */
  constructor(path, key, listener) {
    this.#path = path;
    this.#key = key;
    this.#listener = listener;
    this.#connect();
  }

  /** Nothing is told after this. */
  end() {
    this.#isEnded = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  #connect() {
    const url = addressOf(this.#path);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, SUBPROTOCOL);
    this.#socket = socket;
    let isOpen = false;
    socket.onopen = () => {
      isOpen = true;
      socket.send(JSON.stringify({ type: "auth", id: AUTH_ID, token: this.#key }));
      this.#expectWithin(socket);
    };
    socket.onmessage = ({ data }) => {
      if (this.#socket === socket && !this.#isEnded) this.#read(JSON.parse(data), socket);
    };
    socket.onclose = ({ code }) => {
      if (this.#socket === socket && !this.#isEnded) void this.#closed(code, isOpen);
    };
  }

  /** @param {WebSocket} socket */
  #expectWithin(socket) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#socket !== socket) return;
      socket.onclose = null;
      socket.close();
      this.#retry("The server has fallen silent.");
    }, SILENCE_MS);
  }

  /**
   * @param {{ type: string, id?: number, topic?: string, data?: unknown, code?: string, message?: string }} event
   * @param {WebSocket} socket
   */
  #read(event, socket) {
    if (event.type === "message" && event.topic === NODES) {
      this.#expectWithin(socket);
      if (this.#attempts >= 0) {
        this.#attempts = -1;
        this.#listener.live();
      }
      this.#listener.figures(/** @type {NodeFigures} */ (event.data));
    } else if (event.type === "error" && event.id === AUTH_ID) {
      this.#refuse("This key is not one of the server's API keys.");
    } else if (event.type === "error" && event.code === "broker_unavailable") {
      socket.onclose = null;
      socket.close();
      this.#retry("The node's broker cannot be reached.");
    }
  }

  /**
   * @param {number} code
   * @param {boolean} wasOpen
   */
  async #closed(code, wasOpen) {
    if (code === DISCONNECTED) return this.#refuse("An operator has closed this connection.");
    if (code === TOKEN_EXPIRED) return this.#retry("The server has read its API keys again.");
    if (wasOpen) return this.#retry("The connection is lost.");
    const why = await whyRefused();
    if (!this.#isEnded) this.#retry(why);
  }

  /** @param {string} why */
  #refuse(why) {
    this.end();
    this.#listener.refused(why);
  }

  /** @param {string} why */
  #retry(why) {
    this.#attempts = Math.max(0, this.#attempts) + 1;
    const ceiling = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** (this.#attempts - 1));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), ceiling * (0.5 + Math.random() / 2));
    this.#listener.waiting(why);
  }
}

/** Browsers hide why a handshake failed; what the server says of itself helps to guess. */
async function whyRefused() {
  try {
    const response = await fetch(addressOf("/ready"), { cache: "no-store" });
    if (response.ok) {
      return `The server answers, but does not let this page connect: if it is started with --allowed-origins, ${location.origin} has to be among them; else it may have too many connections.`;
    }
    const { detail } = await response.json();
    return typeof detail === "string" ? detail : "The server takes no new connections.";
  } catch {
    return "The server cannot be reached."; // No answer, or none of Millrace's.
  }
}

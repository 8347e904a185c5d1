// How this page is known to a server that asks for a token: a static one, or one of the
// issuer at which people log in. It is kept for as long as the tab is open, and nowhere
// else.
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { authorization, base64url, comeBack, farewell, renewIn, session, type Pending, type Session, type Ways } from "./oidc";

const TOKEN = "enroute-token";
const SESSION = "enroute-session";
const PENDING = "enroute-login";
/** Why the page was left; the next one says it, once. */
const LEFT = "enroute-left";
/** How soon the issuer is asked again that did not answer. */
const AGAIN_MS = 10_000;

/** Where the server did not say. */
const UNTOLD: Ways = { asks: true, tokens: true, idle_minutes: 15, oidc: null };

/** Why somebody is not logged in any more. */
export type Left = "idle" | "out" | "refused";

const kept = typeof sessionStorage === "undefined" ? null : sessionStorage;

function read<T>(key: string): T | null {
  try {
    return JSON.parse(kept?.getItem(key) ?? "null") as T | null;
  } catch {
    return null;
  }
}

class Login {
  /** Why the server wants a token, in its words; null: it has not asked. */
  asked: string | null = $state(null);
  /** How one logs in here; null: the server has not said yet. */
  ways: Ways | null = $state.raw(null);
  /** Why logging in at the issuer failed; empty: it did not. */
  failed = $state("");
  /** As whom the token lets this page look; empty: not known yet. */
  role = $state("");
  /** Whether the token says that its bearer may break the glass. */
  breaksGlass = $state(false);
  readonly left: Left | null = read(LEFT);
  /** Told when the token is another one of the same person. */
  renewed: () => void = () => undefined;

  /** The next page is on its way and has what was entered; this one has no say any
   * more, and its calls go on without it. */
  #going = false;

  get token(): string {
    return this.#going ? "" : (kept?.getItem(TOKEN) ?? "");
  }

  /** Takes what the issuer sent along, and what there is to know. */
  async start(): Promise<void> {
    kept?.removeItem(LEFT);
    const pending = read<Pending>(PENDING);
    const came = comeBack(location.search, pending);
    kept?.removeItem(PENDING);
    // Codes do not stay in the address.
    if (came) history.replaceState(null, "", location.pathname + (pending?.back ?? ""));
    const ways = this.#describe();
    if (came) {
      await ways;
      if ("refused" in came) this.failed = came.refused;
      else await this.#exchange(came.code, pending as Pending);
    }
    if (this.token === "" && this.failed !== "") this.asked ??= "";
    void ways.then(() => this.#keep());
    void this.#whoAmI();
  }

  /** The server does not take this token, or not any more. */
  refused(token: string, reason: string): void {
    // One that was entered while the call was under way is not refused by it.
    if (this.#going || token !== this.token) return;
    this.#forget();
    if (token !== "") kept?.setItem(LEFT, JSON.stringify("refused" satisfies Left));
    // What was said of a token stands, while the page asks on without one.
    this.asked = token === "" ? (this.asked ?? reason) : reason;
  }

  enter(token: string): void {
    kept?.setItem(TOKEN, token);
    this.#going = true;
    location.reload();
  }

  /** Goes to the issuer. */
  async go(): Promise<void> {
    const oidc = this.ways?.oidc;
    if (!oidc?.at) return;
    const random = (): string => base64url(crypto.getRandomValues(new Uint8Array(32)));
    const pending: Pending = { state: random(), nonce: random(), verifier: random(), back: location.search + location.hash };
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(pending.verifier));
    kept?.setItem(PENDING, JSON.stringify(pending));
    const again = this.left === "idle" || this.left === "out";
    location.assign(authorization(oidc, oidc.at, pending, base64url(new Uint8Array(digest)), home(), again));
  }

  /** Another page, which knows nothing of what this one has shown. */
  leave(why: Left | null = null): void {
    if (this.#going) return;
    const was = read<Session>(SESSION);
    this.#forget();
    if (why !== null) kept?.setItem(LEFT, JSON.stringify(why));
    const oidc = this.ways?.oidc;
    const away = why === "out" && was !== null && oidc ? farewell(oidc, was, home()) : null;
    if (away !== null) {
      location.replace(away);
      return;
    }
    location.replace(`${location.pathname}${location.search}#/`);
    location.reload();
  }

  #forget(): void {
    kept?.removeItem(TOKEN);
    kept?.removeItem(SESSION);
  }

  async #describe(): Promise<void> {
    try {
      const answer = await fetch("/login.json", { cache: "no-store" });
      if (answer.ok) this.ways = (await answer.json()) as Ways;
    } catch {
      // Without the server there is nothing to log in to; the page says that it is silent.
    }
    this.ways ??= UNTOLD;
  }

  async #whoAmI(): Promise<void> {
    if (this.token === "") return;
    try {
      const answer = await fetch("/who.json", { cache: "no-store", headers: { authorization: `Bearer ${this.token}` } });
      if (!answer.ok) return;
      const told = (await answer.json()) as { role?: unknown; break_glass?: unknown };
      this.role = String(told.role ?? "");
      this.breaksGlass = told.break_glass === true;
    } catch {
      // Not known: then the page takes no liberties.
    }
  }

  async #exchange(code: string, pending: Pending): Promise<void> {
    const asked = { grant_type: "authorization_code", code, redirect_uri: home(), code_verifier: pending.verifier };
    const got = await this.#ask(asked, pending.nonce, null);
    if (typeof got === "string") this.failed = got;
    else this.#take(got);
  }

  #take(session: Session): void {
    kept?.setItem(TOKEN, session.token);
    kept?.setItem(SESSION, JSON.stringify(session));
  }

  /** Renews what is kept, in time, for as long as the issuer does. */
  #keep(): void {
    const session = read<Session>(SESSION);
    if (session?.refresh && session.token === this.token) setTimeout(() => void this.#renew(session), renewIn(session, Date.now()));
  }

  async #renew(before: Session): Promise<void> {
    // Logged out meanwhile, or as somebody else.
    if (before.token !== this.token || before.refresh === null) return;
    const got = await this.#ask({ grant_type: "refresh_token", refresh_token: before.refresh }, null, before);
    if (before.token !== this.token) return;
    if (typeof got !== "string") {
      this.#take(got);
      this.#keep();
      this.renewed();
    } else if (got === "network" && Date.now() < before.endsAt) {
      setTimeout(() => void this.#renew(before), AGAIN_MS);
    }
    // Otherwise the token works until it is over, and the server says so then.
  }

  async #ask(asked: Record<string, string>, nonce: string | null, before: Session | null): Promise<Session | string> {
    const oidc = this.ways?.oidc;
    if (!oidc?.at) return "network";
    let answer: unknown;
    try {
      const body = new URLSearchParams({ ...asked, client_id: oidc.client_id });
      const got = await fetch(oidc.at.token, { method: "POST", body, credentials: "omit" });
      if (!got.ok) return got.status >= 500 ? "network" : `${got.status}`;
      answer = await got.json();
    } catch {
      return "network";
    }
    return session(answer, oidc, nonce, before, Date.now());
  }
}

/** Where the issuer sends people back to. */
function home(): string {
  return `${location.origin}/`;
}

export const login = new Login();

/** Takes note when a call with this token failed because the server does not know it. */
export function takeRefusal(token: string, error: unknown): void {
  const refusal = ConnectError.from(error);
  if (refusal.code === Code.Unauthenticated) login.refused(token, refusal.rawMessage);
}

/** Shows the token with every call. */
export const bearer: Interceptor = (next) => async (request) => {
  const token = login.token;
  if (token !== "") request.header.set("authorization", `Bearer ${token}`);
  try {
    return await next(request);
  } catch (error) {
    takeRefusal(token, error);
    throw error;
  }
};

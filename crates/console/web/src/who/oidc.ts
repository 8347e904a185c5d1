// Logging in at an issuer (OpenID Connect, authorization code with PKCE, RFC 7636): what
// is sent there, and what may be believed of what comes back. Pure.

/** What `/login.json` says. */
export interface Ways {
  readonly asks: boolean;
  readonly tokens: boolean;
  readonly idle_minutes: number;
  readonly oidc: Oidc | null;
}

export interface Oidc {
  readonly issuer: string;
  readonly client_id: string;
  readonly scope: string;
  /** Null: the server has not reached the issuer yet. */
  readonly at: Endpoints | null;
}

export interface Endpoints {
  readonly authorization: string;
  readonly token: string;
  readonly end_session: string | null;
}

/** What this page remembers while the person is at the issuer. */
export interface Pending {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  /** Where the person was: search and hash. */
  readonly back: string;
}

/** What the issuer gave. */
export interface Session {
  readonly token: string;
  readonly refresh: string | null;
  /** Proves the login to the issuer when it is ended there. */
  readonly id: string | null;
  /** By this page's wall clock. */
  readonly endsAt: number;
}

/** Tokens that do not say how long they hold are asked for anew after this. */
const UNTOLD_S = 300;

export function base64url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Where the person is sent; `again`: the issuer has to ask who it is, though it may know. */
export function authorization(oidc: Oidc, at: Endpoints, pending: Pending, challenge: string, home: string, again: boolean): string {
  const url = new URL(at.authorization);
  const asked = {
    response_type: "code",
    client_id: oidc.client_id,
    redirect_uri: home,
    scope: oidc.scope,
    state: pending.state,
    nonce: pending.nonce,
    code_challenge: challenge,
    code_challenge_method: "S256",
    ...(again ? { prompt: "login" } : {}),
  };
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value);
  return url.href;
}

/** What the address says when somebody comes back; null: nobody did. */
export function comeBack(search: string, pending: Pending | null): { readonly code: string } | { readonly refused: string } | null {
  const said = new URLSearchParams(search);
  const [code, error, state] = [said.get("code"), said.get("error"), said.get("state")];
  if (state === null || (code === null && error === null)) return null;
  // Somebody else's login, or one that was not begun here.
  if (pending === null || state !== pending.state) return { refused: "state" };
  if (code === null) return { refused: error ?? "" };
  return { code };
}

/** The session in an answer of the token endpoint; `nonce` null: a renewal, which may
 * leave out what is as before. A text says what is wrong with it. */
export function session(answer: unknown, oidc: Oidc, nonce: string | null, before: Session | null, now: number): Session | string {
  const said = (answer ?? {}) as Record<string, unknown>;
  const text = (name: string): string | null => (typeof said[name] === "string" && said[name] !== "" ? (said[name] as string) : null);
  const token = text("access_token");
  if (token === null || text("token_type")?.toLowerCase() !== "bearer") return "access_token";
  const id = text("id_token");
  if (nonce !== null || id !== null) {
    const wrong = wrongWith(id, oidc, nonce);
    if (wrong !== null) return wrong;
  }
  const seconds = typeof said["expires_in"] === "number" && said["expires_in"] > 0 ? said["expires_in"] : UNTOLD_S;
  return {
    token,
    refresh: text("refresh_token") ?? before?.refresh ?? null,
    id: id ?? before?.id ?? null,
    endsAt: now + seconds * 1000,
  };
}

/** Which claim of an id token is not what it has to be. It came from the issuer itself
 * over TLS, so its signature proves nothing more (OpenID Connect Core, 3.1.3.7). */
function wrongWith(id: string | null, oidc: Oidc, nonce: string | null): string | null {
  const said = claims(id);
  if (said === null) return "id_token";
  if (said["iss"] !== oidc.issuer) return "iss";
  const audience = Array.isArray(said["aud"]) ? said["aud"] : [said["aud"]];
  if (!audience.includes(oidc.client_id)) return "aud";
  if (nonce !== null && said["nonce"] !== nonce) return "nonce";
  return null;
}

function claims(token: string | null): Record<string, unknown> | null {
  try {
    const part = (token?.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
    const said: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof said === "object" && said !== null ? (said as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** In how many milliseconds a session is renewed: a minute before its end, or in the
 * middle of a short one. */
export function renewIn(session: Session, now: number): number {
  const left = Math.max(0, session.endsAt - now);
  return Math.max(left - 60_000, left / 2);
}

/** Where the login is ended at the issuer as well; null: it offers no such place. */
export function farewell(oidc: Oidc, session: Session, home: string): string | null {
  const at = oidc.at?.end_session ?? null;
  if (at === null) return null;
  const url = new URL(at);
  url.searchParams.set("client_id", oidc.client_id);
  url.searchParams.set("post_logout_redirect_uri", home);
  if (session.id !== null) url.searchParams.set("id_token_hint", session.id);
  return url.href;
}

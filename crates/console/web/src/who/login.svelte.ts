// How this page is known to a server that asks for a token. The token is kept for as
// long as the tab is open, and nowhere else.
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

const KEY = "enroute-token";

class Login {
  /** Why the server wants a token, in its words; null: it has not asked. */
  asked: string | null = $state(null);

  get token(): string {
    return typeof sessionStorage === "undefined" ? "" : (sessionStorage.getItem(KEY) ?? "");
  }

  /** The server does not take this token, or not any more. */
  refused(token: string, reason: string): void {
    // One that was entered while the call was under way is not refused by it.
    if (token !== this.token) return;
    sessionStorage.removeItem(KEY);
    // What was said of a token stands, while the page asks on without one.
    this.asked = token === "" ? (this.asked ?? reason) : reason;
  }

  enter(token: string): void {
    sessionStorage.setItem(KEY, token);
    location.reload();
  }

  /** Another page, which knows nothing of what this one has shown. */
  leave(): void {
    sessionStorage.removeItem(KEY);
    location.replace(`${location.pathname}${location.search}#/`);
    location.reload();
  }
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

import { describe, expect, test } from "vitest";
import { Idle, warns } from "./idle";
import { authorization, base64url, comeBack, farewell, renewIn, session, type Endpoints, type Oidc, type Pending, type Session } from "./oidc";

const at: Endpoints = { authorization: "https://id.example.org/authorize?kind=staff", token: "https://id.example.org/token", end_session: "https://id.example.org/bye" };
const oidc: Oidc = { issuer: "https://id.example.org", client_id: "console", scope: "openid", at };
const pending: Pending = { state: "s1", nonce: "n1", verifier: "v1", back: "#/" };
const HOME = "https://icu.example.org/";
const NOW = 1_000_000;

function idToken(changes: Record<string, unknown> = {}): string {
  const claims = { iss: oidc.issuer, aud: "console", nonce: "n1", name: "Zoë", ...changes };
  return `x.${base64url(new TextEncoder().encode(JSON.stringify(claims)))}.x`;
}
const answer = (changes: Record<string, unknown> = {}): unknown => ({ access_token: "a", token_type: "Bearer", expires_in: 600, id_token: idToken(), refresh_token: "r", ...changes });

describe("logging in at an issuer", () => {
  test("asks for a code, with everything that makes the answer ours", () => {
    const url = new URL(authorization(oidc, at, pending, "c1", HOME, false));
    expect(Object.fromEntries(url.searchParams)).toEqual({
      kind: "staff",
      response_type: "code",
      client_id: "console",
      redirect_uri: HOME,
      scope: "openid",
      state: "s1",
      nonce: "n1",
      code_challenge: "c1",
      code_challenge_method: "S256",
    });
    expect(authorization(oidc, at, pending, "c1", HOME, true)).toContain("prompt=login");
  });

  test("takes back only what it has begun", () => {
    expect(comeBack("", pending)).toBeNull();
    expect(comeBack("?role=wall", pending)).toBeNull();
    expect(comeBack("?code=x", pending)).toBeNull();
    expect(comeBack("?code=x&state=s1", pending)).toEqual({ code: "x" });
    expect(comeBack("?code=x&state=s2", pending)).toEqual({ refused: "state" });
    expect(comeBack("?code=x&state=s1", null)).toEqual({ refused: "state" });
    expect(comeBack("?error=access_denied&state=s1", pending)).toEqual({ refused: "access_denied" });
  });

  test("believes an answer that is for this login alone", () => {
    const taken = session(answer(), oidc, "n1", null, NOW);
    expect(taken).toEqual({ token: "a", refresh: "r", id: idToken(), endsAt: NOW + 600_000 });
    const wrong = (changes: Record<string, unknown>): unknown => session(answer(changes), oidc, "n1", null, NOW);
    expect(wrong({ id_token: idToken({ nonce: "n2" }) })).toBe("nonce");
    expect(wrong({ id_token: idToken({ nonce: undefined }) })).toBe("nonce");
    expect(wrong({ id_token: idToken({ aud: "other" }) })).toBe("aud");
    expect(wrong({ id_token: idToken({ aud: ["other", "console"] }) })).toMatchObject({ token: "a" });
    expect(wrong({ id_token: idToken({ iss: "https://id.example.com" }) })).toBe("iss");
    expect(wrong({ id_token: undefined })).toBe("id_token");
    expect(wrong({ id_token: "x" })).toBe("id_token");
    expect(wrong({ access_token: "" })).toBe("access_token");
    expect(wrong({ token_type: "mac" })).toBe("access_token");
    expect(session(null, oidc, "n1", null, NOW)).toBe("access_token");
    expect(session("<html>", oidc, "n1", null, NOW)).toBe("access_token");
  });

  test("a renewal may leave out what is as before", () => {
    const before: Session = { token: "a", refresh: "r", id: "i", endsAt: NOW };
    const renewed = session({ access_token: "b", token_type: "bearer" }, oidc, null, before, NOW);
    expect(renewed).toEqual({ token: "b", refresh: "r", id: "i", endsAt: NOW + 300_000 });
    expect(session(answer({ id_token: idToken({ aud: "other" }) }), oidc, null, before, NOW)).toBe("aud");
  });

  test("renews a minute before the end, and a short one in its middle", () => {
    const ending = (s: number): Session => ({ token: "a", refresh: "r", id: null, endsAt: NOW + s * 1000 });
    expect(renewIn(ending(600), NOW)).toBe(540_000);
    expect(renewIn(ending(60), NOW)).toBe(30_000);
    expect(renewIn(ending(-5), NOW)).toBe(0);
  });

  test("says farewell at the issuer where that is offered", () => {
    const was: Session = { token: "a", refresh: null, id: "i", endsAt: NOW };
    expect(farewell(oidc, was, HOME)).toBe(`https://id.example.org/bye?client_id=console&post_logout_redirect_uri=${encodeURIComponent(HOME)}&id_token_hint=i`);
    expect(farewell({ ...oidc, at: { ...at, end_session: null } }, was, HOME)).toBeNull();
  });
});

describe("a screen that nobody touches", () => {
  const clocks = (steady: number, wall = steady): { steady: number; wall: number } => ({ steady, wall });

  test("is left after the limit, and not before", () => {
    const idle = new Idle(900_000, clocks(0));
    expect(idle.left(clocks(899_999))).toBe(1);
    idle.touch(clocks(899_999));
    expect(idle.left(clocks(900_000))).toBe(899_999);
    expect(idle.left(clocks(1_799_999))).toBe(0);
  });

  test("is left also if it slept, or its clock was set back", () => {
    expect(new Idle(900_000, clocks(0, 0)).left(clocks(5, 900_000))).toBe(0);
    expect(new Idle(900_000, clocks(0, 0)).left(clocks(900_000, -5))).toBe(0);
  });

  test("warns in the last minute, or in the second half of a short time", () => {
    expect([warns(60_001, 900_000), warns(60_000, 900_000)]).toEqual([false, true]);
    expect([warns(30_001, 60_000), warns(30_000, 60_000)]).toEqual([false, true]);
  });
});

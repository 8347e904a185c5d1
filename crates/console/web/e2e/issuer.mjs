// A small issuer (OpenID Connect) for tests: one person, who logs in by a click; codes,
// PKCE, renewal and farewell are held to what a real one asks.
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { createServer } from "node:http";

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

const key = () => generateKeyPairSync("ec", { namedCurve: "P-256" });

export class Issuer {
  /** What was asked of it, the newest last. */
  logins = [];
  renewals = 0;
  farewells = [];
  /** Seconds that a token holds. */
  life = 600;
  #key = key();
  #id = randomUUID();
  #codes = new Map();
  #refresh = new Set();
  #server;

  constructor(client, claims) {
    this.client = client;
    this.claims = claims;
  }

  async start() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
    await new Promise((done) => this.#server.listen(0, "127.0.0.1", done));
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
  }

  stop() {
    this.#server?.closeAllConnections();
    this.#server?.close();
  }

  /** Signs by another key from now on, and publishes that one alone. */
  rotate() {
    this.#key = key();
    this.#id = randomUUID();
  }

  /** Nobody is renewed any more, and nothing that was signed counts. */
  forget() {
    this.#refresh.clear();
    this.rotate();
  }

  #token(claims) {
    const now = Math.floor(Date.now() / 1000);
    const text = `${encode({ alg: "ES256", kid: this.#id })}.${encode({ iss: this.url, sub: "weber", iat: now, exp: now + this.life, ...claims })}`;
    const signature = sign("sha256", Buffer.from(text), { key: this.#key.privateKey, dsaEncoding: "ieee-p1363" });
    return `${text}.${signature.toString("base64url")}`;
  }

  #tokens(nonce) {
    const refresh = randomUUID();
    this.#refresh.add(refresh);
    return {
      access_token: this.#token({ aud: "enroute", ...this.claims }),
      id_token: this.#token({ aud: this.client, ...(nonce ? { nonce } : {}) }),
      refresh_token: refresh,
      token_type: "Bearer",
      expires_in: this.life,
    };
  }

  async #answer(request, response) {
    const url = new URL(request.url, this.url);
    const json = (value, status = 200) => {
      response.writeHead(status, { "content-type": "application/json", "access-control-allow-origin": "*" });
      response.end(JSON.stringify(value));
    };
    const page = (text) => {
      response.writeHead(200, { "content-type": "text/html" });
      response.end(`<!doctype html><title>issuer</title>${text}`);
    };
    const asked = Object.fromEntries(url.searchParams);
    switch (url.pathname) {
      case "/.well-known/openid-configuration":
        return json({
          issuer: this.url,
          jwks_uri: `${this.url}/keys`,
          authorization_endpoint: `${this.url}/authorize`,
          token_endpoint: `${this.url}/token`,
          end_session_endpoint: `${this.url}/bye`,
        });
      case "/keys":
        return json({ keys: [{ ...this.#key.publicKey.export({ format: "jwk" }), kid: this.#id, use: "sig" }] });
      case "/authorize": {
        this.logins.push(asked);
        const code = randomUUID();
        this.#codes.set(code, asked);
        const back = new URL(asked.redirect_uri);
        back.searchParams.set("code", code);
        back.searchParams.set("state", asked.state);
        return page(`<a id="in" href="${back.href.replaceAll("&", "&amp;")}">log in</a>`);
      }
      case "/token": {
        let body = "";
        for await (const part of request) body += part;
        const given = Object.fromEntries(new URLSearchParams(body));
        try {
          assert.equal(given.client_id, this.client);
          if (given.grant_type === "refresh_token") {
            assert(this.#refresh.delete(given.refresh_token), "unknown refresh token");
            this.renewals += 1;
            return json(this.#tokens(null));
          }
          const login = this.#codes.get(given.code);
          assert(this.#codes.delete(given.code), "unknown code");
          assert.equal(given.redirect_uri, login.redirect_uri);
          assert.equal(login.code_challenge_method, "S256");
          assert.equal(createHash("sha256").update(given.code_verifier).digest("base64url"), login.code_challenge);
          return json(this.#tokens(login.nonce));
        } catch (error) {
          return json({ error: "invalid_grant", error_description: String(error) }, 400);
        }
      }
      case "/bye":
        this.farewells.push(asked);
        return page(`<a id="out" href="${asked.post_logout_redirect_uri}">back</a>`);
      default:
        response.writeHead(404);
        return response.end();
    }
  }
}

import { svelte } from "@sveltejs/vite-plugin-svelte";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

/** The server that `npm run dev` asks. */
const SERVER = process.env["ENROUTE_SERVER"] ?? "http://127.0.0.1:7400";

const proxy = { "/enroute.v1.": SERVER, "/login.json": SERVER, "/who.json": SERVER };

const out = process.env["ENROUTE_CONSOLE_OUT"] ?? "dist";

/** A gzip twin beside each text, and the sizes in a line. */
function compress(): Plugin {
  return {
    name: "compress",
    apply: "build",
    closeBundle() {
      let [plain, small] = [0, 0];
      const walk = (dir: string): void => {
        for (const name of readdirSync(dir)) {
          const path = join(dir, name);
          if (statSync(path).isDirectory()) {
            walk(path);
          } else if (!name.endsWith(".gz")) {
            const bytes = readFileSync(path);
            const zipped = gzipSync(bytes, { level: 9 });
            plain += bytes.length;
            small += zipped.length;
            writeFileSync(`${path}.gz`, zipped);
          }
        }
      };
      walk(out);
      console.log(`console: ${Math.ceil(plain / 1000)} kB, ${Math.ceil(small / 1000)} kB compressed`);
    },
  };
}

export default defineConfig({
  plugins: [svelte(), compress()],
  build: {
    outDir: out,
    emptyOutDir: true,
    target: "es2022",
    // Nothing in the page itself: the policy allows files of this server only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy },
  preview: { proxy },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
} as Parameters<typeof defineConfig>[0]);

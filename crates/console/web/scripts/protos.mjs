// Generates the contract's types: feeds the descriptors that cargo compiled from
// proto/ (gen/descriptors.bin, by build.rs) to protoc-gen-es, as protoc would.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  CodeGeneratorRequestSchema,
  CodeGeneratorResponseSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const gen = new URL("../gen/", import.meta.url);
const descriptors = new URL("descriptors.bin", gen);
if (!existsSync(descriptors)) {
  console.error("gen/descriptors.bin is missing: run `cargo build -p enroute-console` once");
  process.exit(1);
}

const set = fromBinary(FileDescriptorSetSchema, readFileSync(descriptors));
const request = create(CodeGeneratorRequestSchema, {
  fileToGenerate: set.file.map((file) => file.name).filter((name) => name.startsWith("enroute/")),
  parameter: "target=ts,import_extension=none",
  protoFile: set.file,
  sourceFileDescriptors: set.file,
});
const plugin = fileURLToPath(new URL("../node_modules/.bin/protoc-gen-es", import.meta.url));
const ran = spawnSync(plugin, {
  input: toBinary(CodeGeneratorRequestSchema, request),
  maxBuffer: 64 << 20,
});
if (ran.error || ran.status !== 0) throw ran.error ?? new Error(ran.stderr.toString());
const response = fromBinary(CodeGeneratorResponseSchema, ran.stdout);
if (response.error) throw new Error(response.error);

const out = new URL("proto/", gen);
rmSync(out, { recursive: true, force: true });
for (const file of response.file) {
  const path = fileURLToPath(new URL(file.name, out));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, file.content);
}

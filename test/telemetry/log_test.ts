import assert from "node:assert/strict";
import {
  configureLogging,
  type LogFormat,
  logger,
  type LogLevel,
  stopLogging,
} from "../../src/telemetry/log.ts";

function logged(format: LogFormat, level: LogLevel, body: () => void): string[] {
  const lines: string[] = [];
  configureLogging({ format, level, write: (line) => lines.push(line) });
  try {
    body();
  } finally {
    stopLogging();
  }
  return lines;
}

Deno.test("JSON: one object per record, with room, level, message and properties", () => {
  const [line, ...more] = logged("json", "info", () => {
    logger("routing").debug("not this");
    logger("routing").info("{name} is served by {holder}", {
      name: "web",
      holder: "10.0.0.7:4000",
      level: "mine",
      token: "hunter2",
    });
  });
  assert.equal(more.length, 0);
  const { time, ...record } = JSON.parse(line);
  assert.match(time, /^\d{4}-\d\d-\d\dT.*Z$/);
  assert.deepEqual(record, {
    level: "info",
    room: "routing",
    message: "web is served by 10.0.0.7:4000",
    name: "web",
    holder: "10.0.0.7:4000",
    level_: "mine",
    token: "[redacted]",
  });
});

Deno.test("text: a line a person reads, with nothing forged by a peer", () => {
  const [line] = logged("text", "debug", () => {
    logger("gateway").warn("refused {user}", { user: "root\n2026-08-01 info gateway: accepted", tries: 3 });
  });
  assert.match(
    line,
    /^\S+Z warning gateway: refused "root\\\\u\{a\}2026-08-01 info gateway: accepted" tries=3$/,
  );
  assert.equal(line.includes("\n"), false);
});

Deno.test("text: a sentence of our own goes without quotes, on one line", () => {
  const [line] = logged("text", "debug", () => {
    const why = 'the server does not let "web" in\nforged';
    logger("gateway").warn("{gateway} cannot be joined: {why}", { gateway: "gw:15022", why });
  });
  assert.match(line, /gateway: gw:15022 cannot be joined: the server does not let "web" in\\u\{a\}forged$/);
});

Deno.test("errors are told with their code and cause", () => {
  const [line] = logged("json", "error", () => {
    const error = Object.assign(new Error("could not listen", { cause: new Error("in use") }), {
      code: "in-use",
    });
    logger("gateway").error("failed", { error });
  });
  assert.deepEqual(JSON.parse(line).error, {
    name: "Error",
    code: "in-use",
    message: "could not listen",
    cause: { name: "Error", message: "in use" },
  });
});

Deno.test("without configuration nothing is written", () => {
  const lines = logged("json", "info", () => {});
  logger("routing").error("into the void");
  assert.deepEqual(lines, []);
});

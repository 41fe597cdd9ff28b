import assert from "node:assert/strict";
import type { AgentEvent } from "../../src/agent/events.ts";
import { tokenCommand } from "../../src/agent/token_command.ts";
import { type Fetch, tokenMetadata } from "../../src/agent/token_metadata.ts";
import { audienceFor, expiryOf, tokenFile } from "../../src/agent/token_source.ts";
import { encodeText } from "../../src/bytes/bytes.ts";
import { encodeBase64Url } from "../../src/bytes/encoding.ts";
import { readableFiles } from "../../src/deno/readable_files.ts";
import { denoProcesses } from "../../src/deno/process.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { temporaryFolder } from "../support/folder.ts";
import { deadline, waitUntil } from "../support/wait.ts";

const signal = new AbortController().signal;

Deno.test("a token file is read anew each time, and the white space around a token is no part of it", async () => {
  using folder = temporaryFolder();
  const source = tokenFile(folder.write("token", "first\n"), readableFiles);
  assert.equal(await source.read("", signal), "first");
  folder.write("token.new", "  second\r\n");
  Deno.renameSync(folder.at("token.new"), folder.at("token"));
  assert.equal(await source.read("", signal), "second");
});

const NO_TOKENS: readonly [what: string, content: string, says: RegExp][] = [
  ["an empty file", "\n", /is empty/],
  ["two words", "secret1 secret2", /not one word/],
  ["a control character", "secret\x01", /not one word/],
  ["a file without end", "x".repeat(16 * 1024 + 1), /longer than any token/],
];

for (const [what, content, says] of NO_TOKENS) {
  Deno.test(`no token: ${what}, told without a word of it`, async () => {
    using folder = temporaryFolder();
    const source = tokenFile(folder.write("token", content), readableFiles);
    await assert.rejects(source.read("", signal), (error: Error & { reason?: string }) => {
      assert.equal(error.reason, "credential");
      assert.match(error.message, says);
      assert.doesNotMatch(error.message, /secret|xxxx/);
      return true;
    });
  });
}

Deno.test("a token file that is not there is a mistake of files", async () => {
  await assert.rejects(tokenFile("/nowhere/token", readableFiles).read("", signal), {
    reason: "files",
    message: /the token \/nowhere\/token cannot be read/,
  });
});

function command(line: string, clock = systemClock as FakeClock | typeof systemClock) {
  const events: AgentEvent[] = [];
  const source = tokenCommand(line, {
    processes: denoProcesses,
    clock,
    environment: () => ({ PATH: Deno.env.get("PATH")!, MINE: "kept" }),
    log: (event) => void events.push(event),
  });
  return { source, events };
}

Deno.test("a command prints the token, knows the audience and the environment, and is heard on its standard error", async () => {
  const { source, events } = command('echo "$MINE.$SSHM_TOKEN_AUDIENCE"; echo "I was asked" >&2');
  assert.equal(await source.read("ssh://gw", signal), "kept.ssh://gw");
  assert.deepEqual(events, [{ event: "info", message: "--token-command says: I was asked" }]);
});

Deno.test("a command that traces itself does not put its token into the log", async () => {
  const { source, events } = command('set -x; echo "geheim"');
  assert.equal(await source.read("", signal), "geheim");
  assert.doesNotMatch(JSON.stringify(events), /geheim/);
});

Deno.test("a command that fails says why, whatever it printed", async () => {
  const { source } = command("echo geheim; echo 'not signed in' >&2; exit 3");
  await assert.rejects(source.read("", signal), {
    reason: "credential",
    message: "--token-command failed with exit code 3: not signed in",
  });
});

Deno.test("a command that never stops printing is cut off", async () => {
  const { source } = command("yes");
  await deadline(
    assert.rejects(source.read("", signal), { message: /longer than any token/ }),
    "the end of it",
  );
});

Deno.test("a command that hangs is killed after half a minute, and what it started", async () => {
  using folder = temporaryFolder();
  const clock = new FakeClock();
  const { source } = command(`echo $$ > ${folder.at("pid")}; sleep 1000; true`, clock);
  const asked = source.read("", signal);
  asked.catch(() => {});
  const pid = await waitUntil("the command", () => {
    try {
      return Number(folder.read("pid"));
    } catch {
      return undefined;
    }
  });
  await clock.advance(30_000);
  await assert.rejects(asked, { message: "--token-command took longer than 30 s" });
  // Gone, and not only dead: until then this process still waits for it.
  await waitUntil("its end", () => {
    try {
      Deno.statSync(`/proc/${pid}`);
    } catch {
      return true;
    }
  });
  assert.equal(clock.pending, 0);
});

function metadata(answer: Partial<{ status: number; flavor: string | null; body: string }> | Error) {
  const asked: { url: string; flavor: string; redirect: string }[] = [];
  const fetch: Fetch = (url, { headers, redirect }) => {
    asked.push({ url, flavor: headers["Metadata-Flavor"], redirect });
    if (answer instanceof Error) return Promise.reject(answer);
    const { status = 200, flavor = "Google", body = "a.b.c" } = answer;
    return Promise.resolve(
      new Response(body, { status, headers: flavor === null ? {} : { "Metadata-Flavor": flavor } }),
    );
  };
  return { source: tokenMetadata("meta:80", systemClock, fetch), asked };
}

Deno.test("the metadata server is asked with its header for a token for this audience, and no redirect is followed", async () => {
  const { source, asked } = metadata({});
  assert.equal(await source.read("ssh://gw:1?&x", signal), "a.b.c");
  assert.deepEqual(asked, [{
    url: "http://meta:80/computeMetadata/v1/instance/service-accounts/default/identity" +
      "?audience=ssh%3A%2F%2Fgw%3A1%3F%26x&format=full",
    flavor: "Google",
    redirect: "error",
  }]);
});

const METADATA_FAULTS: readonly [string, Parameters<typeof metadata>[0], RegExp, string | undefined][] = [
  ["a server that is none", { flavor: null }, /no metadata server/, "credential"],
  ["another flavor", { flavor: "Other" }, /no metadata server/, "credential"],
  ["no service account", { status: 404 }, /no service account/, "credential"],
  ["a server in trouble", { status: 503 }, /status 503/, undefined],
  ["no server", new TypeError("connection refused"), /connection refused/, undefined],
  ["an answer without end", { body: "x".repeat(20_000) }, /longer than any token/, "credential"],
];

for (const [what, answer, says, reason] of METADATA_FAULTS) {
  Deno.test(`metadata: ${what} is told, and ${reason ? "ends the first start" : "is asked again"}`, async () => {
    await assert.rejects(metadata(answer).source.read("a", signal), (error: Error & { reason?: string }) => {
      assert.match(error.message, says);
      assert.equal(error.reason, reason);
      return true;
    });
  });
}

Deno.test("a metadata server that does not answer is given up after ten seconds", async () => {
  const clock = new FakeClock();
  const silent: Fetch = (_url, { signal }) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const asked = tokenMetadata("meta", clock, silent).read("a", signal);
  asked.catch(() => {});
  await clock.advance(10_000);
  await assert.rejects(asked, { message: /no answer in time/ });
});

Deno.test("a token's own word about its expiry is read, and nothing else is taken for one", () => {
  const jwt = (claims: unknown) => `h.${encodeBase64Url(encodeText(JSON.stringify(claims)))}.s`;
  assert.equal(expiryOf(jwt({ exp: 1_800_000_000 })), 1_800_000_000_000);
  for (const token of [jwt({}), jwt({ exp: "1" }), jwt(null), "opaque", "a.!!.c", "a.eA.c"]) {
    assert.equal(expiryOf(token), undefined, token);
  }
});

Deno.test("tokens are for the gateway that is dialled", () => {
  assert.equal(audienceFor({ hostname: "gw.example.com", port: 15022 }), "ssh://gw.example.com");
});

/** `sshm policy …`: policies, judged without a gateway. */
import type { Command } from "commander";
import { expandHome, requireText } from "../agent/text_file.ts";
import {
  explain,
  type OwnerLimits,
  parsePolicy,
  type Policy,
  PolicyError,
  policyJsonSchema,
} from "../identity/policy/mod.ts";
import { parseDialRange, parsePortRange } from "../identity/ranges.ts";
import { addExamples, type Cli, run } from "./cli.ts";
import { type ExitReason, SshmError } from "./exit_codes.ts";
import { collect, type GlobalFlags } from "./flags.ts";
import { print, printJson } from "./output.ts";
import { type QuestionFlags, readQuestions } from "./policy_question.ts";
import { answerJson, answerText } from "./policy_report.ts";

const asTyped = (text: string) => text;

interface TestFlags extends QuestionFlags {
  readonly policy: string;
  readonly allowDial?: OwnerLimits["dial"];
  readonly allowListen?: OwnerLimits["listen"];
}

export function addPolicyCommands(program: Command, cli: Cli): void {
  const policy = program.command("policy").description("check a policy file, and ask what it would decide");
  addTest(policy, cli);
  addCheck(policy, cli);
  addSchema(policy, cli);
}

function addTest(policy: Command, cli: Cli): void {
  const test = policy.command("test")
    .description("what the policy decides, by which rule, and why each other rule misses")
    .requiredOption("--policy <FILE>", "the policy file")
    .requiredOption(
      "--as <IDENTITY>",
      "who: an e-mail address or other name in a certificate, key:SHA256:…, jwt:NAME, oidc:NAME, x509:NAME, join:NODE, enrolled:NODE, anonymous; repeatable",
      collect(asTyped),
    )
    .requiredOption("--may <RIGHT>", "what: connect, login, register, dial, …; repeatable", collect(asTyped))
    .option("--what <NODE[:PORT]>", "on what: NODE[:PORT], ADDRESS:PORT for dial, PORT for listen")
    .option("--owner", "the key is an owner's")
    .option("--kind <KIND>", "kind of credential: ssh-cert, jwt, x509, oidc, join (default: ssh-cert)")
    .option("--issuer <ISSUER>", "the token's issuer, or ssh-ca:SHA256:…")
    .option("--subject <SUBJECT>", "subject within the issuer, where it is not the name")
    .option("--key <SHA256:…>", "fingerprint of the certified key")
    .option("--trust-domain <NAME>", "trust domain of the issuer")
    .option(
      "--group <NAME>",
      "group that the gateway's own authority vouches for; repeatable",
      collect(asTyped),
    )
    .option("--claim <NAME=VALUE>", "claim of the credential; repeatable", collect(asTyped))
    .option("--expires <TIME>", "when the credential ends")
    .option("--from <ADDRESS>", "where the connection comes from")
    .option("--at <TIME>", "when it is asked (default: now)")
    .option("--login <USER>", "login name on the node, for login, exec, sftp and forward")
    .option("--domain <NAME>", "the gateway's domain: NAME is then NAME.DOMAIN too")
    .option("--published", "the port is published")
    .option("--via <gateway|NODE>", "who dials (default: gateway)")
    .option("--address <ADDRESS>", "for dial: what the gateway finds when it looks the host up")
    .option(
      "--allow-dial <CIDR:PORT>",
      "as the gateway's flag; repeatable",
      collect((text) => parseDialRange(text)),
    )
    .option("--allow-listen <PORT>", "as the gateway's flag; repeatable", collect(parsePortRange));
  addExamples(
    run<TestFlags>(cli, test, (flags) => judge(cli, flags)),
    [
      [
        "sshm policy test --policy policy.yaml --as ann@mycorp.com --may connect --what web.prod.mycorp.com:22",
        "may Ann reach that port?",
      ],
      [
        "sshm policy test --policy policy.yaml --as jwt:ci --issuer https://token.actions.githubusercontent.com --claim repository=mycorp/app --may register --what app",
        "may a token with this claim register that name?",
      ],
    ],
  );
}

/** Answers every question that the flags ask. */
async function judge(cli: Cli, flags: TestFlags & GlobalFlags): Promise<ExitReason> {
  const rules = await readPolicy(cli, flags.policy, {
    dial: flags.allowDial ?? [],
    listen: flags.allowListen ?? [],
  });
  const answers = readQuestions(flags, cli.host.clock.now()).map((question) => {
    const { identity, action, resource, context } = question;
    return { question, explanation: explain(rules, identity, action, resource, context) };
  });
  const allowed = answers.every(({ explanation }) => explanation.decision.allowed);
  if (flags.json) await printJson(cli.host, { allowed, answers: answers.map(answerJson) });
  else await print(cli.host, ...answers.flatMap(answerText));
  return allowed ? "done" : "refused";
}

function addCheck(policy: Command, cli: Cli): void {
  const check = policy.command("check").description(
    "whether a policy file can be used; every mistake with its place",
  )
    .argument("<FILE>", "the policy file");
  addExamples(
    run(cli, check, async ({ json }, [path]) => {
      const { rules } = await readPolicy(cli, path);
      const facts = { file: path, rules: rules.map(({ name, deny }) => ({ name, deny })) };
      const text = `${path}: ${rules.length} ${rules.length === 1 ? "rule" : "rules"}, no mistake`;
      if (json) await printJson(cli.host, facts);
      else await print(cli.host, text);
    }),
    [["sshm policy check policy.yaml", "before it goes live"]],
  );
}

function addSchema(policy: Command, cli: Cli): void {
  const schema = policy.command("schema").description("the JSON Schema of policy files, for editors");
  addExamples(
    run(cli, schema, async ({ json }) => {
      await print(cli.host, JSON.stringify(policyJsonSchema(), null, json ? 0 : 2));
    }),
    [["sshm policy schema > policy.schema.json", "for an editor that knows JSON Schema"]],
  );
}

async function readPolicy({ host }: Cli, path: string, owners?: OwnerLimits): Promise<Policy> {
  const expanded = expandHome(path, host.environment("HOME") ?? "/");
  const { text } = await requireText(host.files, expanded, "the policy");
  try {
    return parsePolicy(text, { file: path, owners });
  } catch (error) {
    if (error instanceof PolicyError) throw new SshmError("files", error.message, { cause: error });
    throw error;
  }
}

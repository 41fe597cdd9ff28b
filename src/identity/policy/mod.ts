/** Who may what: the policy grammar and the one function that decides. */
export * from "./rights.ts";
export * from "./resource.ts";
export * from "./decide.ts";
export {
  emptyPolicy,
  type OwnerLimits,
  parsePolicy,
  type Policy,
  PolicyError,
  type PolicyProblem,
} from "./parse.ts";
export { type PolicyDocument, policyJsonSchema, policySchema } from "./schema.ts";

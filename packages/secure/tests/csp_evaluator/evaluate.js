// Reads a JSON list of policies, and writes what csp_evaluator finds in each.
const { CspEvaluator } = require("csp_evaluator/dist/evaluator.js");
const { CspParser } = require("csp_evaluator/dist/parser.js");
const { Severity, Type } = require("csp_evaluator/dist/finding.js");
const { Version } = require("csp_evaluator/dist/csp.js");

const policies = JSON.parse(require("fs").readFileSync(0, "utf8"));
const verdicts = policies.map((policy) =>
  new CspEvaluator(new CspParser(policy).csp, Version.CSP3)
    .evaluate()
    .map(({ severity, type, directive, value }) =>
      [Severity[severity], Type[type], directive, value ?? ""]),
);
process.stdout.write(JSON.stringify(verdicts));

// Ends a test run with one line of counts. Names every skipped test, and counts the suites that lack data or a Python, so
// that no skip is silent.

import { writeFileSync } from 'node:fs'

/** What suites outside a plain clone need, by the words of their titles. CONTRIBUTING.md describes both. */
const needs = [
  { words: /\(test:full\)/, reason: '`npm run test:full`' },
  { words: /shared data|\.\.\/shared/i, reason: 'no ../shared/data' },
  { words: /python|bench\/peers/i, reason: 'no Python of bench/peers' },
  { words: /chromium/i, reason: 'no Chromium (`apt-get install chromium`, or TUNESMITH_BROWSER)' },
]

/** The file, with its project where that is not the usual one. */
const nameOf = ({ project, relativeModuleId }) =>
  project.name === 'strict' ? `strict: ${relativeModuleId}` : relativeModuleId

export default class SummaryReporter {
  onTestRunEnd(modules, errors, reason) {
    // The checks that `npm test` ran before the tests.
    let passed = Number(process.env.TUNESMITH_CHECKS_PASSED ?? 0)
    let failed = Number(process.env.TUNESMITH_CHECKS_FAILED ?? 0)
    // A file whose process ended early has no result, and vitest reports an error that does not name it.
    const unfinished = new Set(modules.filter((module) => !['passed', 'failed', 'skipped'].includes(module.state())))
    failed += Math.max(0, errors.length - unfinished.size)
    const skipped = []
    const failedFiles = new Set()
    const passedOf = new Map()
    const lackingOf = new Map(needs.map(({ reason }) => [reason, new Set()]))
    // What counts even if the failed files pass in a second attempt.
    const certain = { passed, failed }
    for (const module of modules) {
      const before = { passed, failed }
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed') passed += 1
        else if (state === 'failed') failed += 1
        else {
          const need = needs.find(({ words }) => words.test(test.fullName))
          if (need !== needs[0]) skipped.push(`${nameOf(module)} > ${test.fullName}`)
          if (need !== undefined) lackingOf.get(need.reason).add(module.relativeModuleId)
        }
      }
      if (unfinished.has(module)) {
        failed += 1
        console.log(`UNFINISHED ${nameOf(module)}: its process ended before its tests did`)
      }
      // Where a hook fails, its tests count as skipped.
      failed += [module, ...module.children.allSuites()].filter((suite) => suite.errors().length > 0).length
      if (failed > before.failed) failedFiles.add(module.relativeModuleId)
      passedOf.set(module, passed - before.passed)
    }
    // A file runs again in each of its projects.
    for (const [{ relativeModuleId }, count] of passedOf)
      if (!failedFiles.has(relativeModuleId)) certain.passed += count
    const list = process.env.TUNESMITH_TEST_FAILURES
    if (list !== undefined) writeFileSync(list, JSON.stringify({ files: [...failedFiles], ...certain }))
    if (reason === 'interrupted') failed += 1
    for (const name of skipped) console.log(`SKIPPED ${name}`)
    if (skipped.length > 0) console.log(`${skipped.length} skipped`)
    const lacking = [...lackingOf].filter(([, files]) => files.size > 0)
    if (lacking.length > 0) {
      const files = new Set(lacking.flatMap(([, names]) => [...names]))
      const reasons = lacking.map(([reason, names]) => `${reason} (${names.size})`).join(', ')
      console.log(
        `${files.size} ${files.size === 1 ? 'suite' : 'suites'} skipped in part or whole: ${reasons}; see CONTRIBUTING.md`,
      )
    }
    // They stand far above, where a build server may cut its log.
    if (process.env.TUNESMITH_FAILED_CHECKS)
      console.log(`FAILED before the tests: ${process.env.TUNESMITH_FAILED_CHECKS}`)
    console.log(`${passed} passed, ${failed} failed`)
  }
}

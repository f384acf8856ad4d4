// Closes a test run with one plain line of counts, and names every skipped test so that a skip is never silent.

export default class SummaryReporter {
  onTestRunEnd(modules, errors, reason) {
    // What `npm test` checked before the tests.
    let passed = Number(process.env.TUNESMITH_CHECKS_PASSED ?? 0)
    let failed = Number(process.env.TUNESMITH_CHECKS_FAILED ?? 0) + errors.length
    const skipped = []
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed') passed += 1
        else if (state === 'failed') failed += 1
        else skipped.push(`${module.relativeModuleId} > ${test.fullName}`)
      }
      if (module.state() === 'failed' && module.errors().length > 0) failed += 1
    }
    if (reason === 'interrupted') failed += 1
    for (const name of skipped) console.log(`SKIPPED ${name}`)
    if (skipped.length > 0) console.log(`${skipped.length} skipped`)
    console.log(`${passed} passed, ${failed} failed`)
  }
}

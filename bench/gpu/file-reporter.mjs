// A reporter of vitest that prints one line of JSON for each file when it ends: of a run that was ended early, these are known.
export default class FileReporter {
  onTestModuleEnd(module) {
    console.log(JSON.stringify({ file: module.relativeModuleId, passed: module.state() === 'passed' }))
  }
}

// The program that Spark's script transform starts on every node: `corpus worker` for the stages of a build, in one file
// without the rest of the command line. Arguments: the stage; its build is in the folder of this file.

import { dirname } from 'node:path'
import { serveRows } from './serve-rows.ts'
import type { BuildStageName } from './stages.ts'

try {
  await serveRows({
    stage: process.argv[2] as BuildStageName,
    // A compiled module has the address of its place in the package, not of the file that was shipped.
    build: process.argv[3] ?? dirname(process.argv[1]),
    input: process.stdin,
    output: process.stdout,
  })
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
}

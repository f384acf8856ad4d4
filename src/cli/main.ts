// The entry of the program.
import { packageVersion, passProgramName } from '../core/index.ts'
import { readCatalogue } from './catalogue.ts'
import { commands } from './commands/index.ts'
import { runAsProcess } from './process.ts'
import { setUpNow } from './set-up.ts'

passProgramName()
await runAsProcess(process.argv.slice(2), {
  commands,
  version: packageVersion(),
  catalogue: readCatalogue(),
  installEngine: setUpNow,
})

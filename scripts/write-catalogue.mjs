// Writes dist/cli/catalogue.json.br after a compilation: the help of every command, without its code.
import { fileURLToPath } from 'node:url'

const dist = new URL('../dist/cli/', import.meta.url)
const { writeCatalogue } = await import(new URL('catalogue.js', dist).href)
const { commands } = await import(new URL('commands/index.js', dist).href)
await writeCatalogue(fileURLToPath(new URL('catalogue.json.br', dist)), commands)
// Libraries of some commands keep workers alive.
process.exit(0)

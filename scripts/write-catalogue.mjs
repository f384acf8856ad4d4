// Writes dist/cli/catalogue.json.br after a compilation: the help of every command, without its code, packed by Brotli to a thirtieth of
// its size.
import { writeFileSync } from 'node:fs'
import { brotliCompressSync } from 'node:zlib'

const dist = new URL('../dist/cli/', import.meta.url)
const { loadCatalogue } = await import(new URL('catalogue.js', dist).href)
const { commands } = await import(new URL('commands/index.js', dist).href)
writeFileSync(new URL('catalogue.json.br', dist), brotliCompressSync(JSON.stringify(await loadCatalogue(commands))))
// Libraries of some commands keep workers alive.
process.exit(0)

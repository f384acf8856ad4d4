// `npm run bench -- serve-clients`: the Vercel AI SDK and LangChain.js against a server with a small random model: texts, streams, objects of
// a schema, tool calls and vectors. Both are installed into a temporary folder, as together they take more than 90 MB.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { copyFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { makeFolders, startServer, toolTemplate } from '../tests/serving/fixture.ts'

const packages = [
  'ai@6.0.326',
  '@ai-sdk/openai-compatible@2.0.92',
  '@langchain/openai@1.5.8',
  '@langchain/core@1',
  'zod@4',
]

const runFile = promisify(execFile)

export const run = async (): Promise<void> => {
  const folders = await makeFolders({ chatTemplate: toolTemplate, maxPositions: 2048 })
  const { server, url } = await startServer({ model: folders.base })
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-clients-'))
  try {
    await writeFile(join(folder, 'package.json'), '{"private":true,"type":"module"}')
    console.log(`Installing ${packages.join(', ')} …`)
    await runFile('npm', ['install', '--no-audit', '--no-fund', ...packages], { cwd: folder })
    for (const name of ['ai-sdk', 'langchain']) {
      const script = join(folder, `${name}.mjs`)
      await copyFile(fileURLToPath(new URL(`./serving/${name}.mjs`, import.meta.url)), script)
      const { stdout } = await runFile(process.execPath, [script, `${url}/v1`], { cwd: folder })
      process.stdout.write(stdout)
    }
  } finally {
    await server.close()
    folders.remove()
    rmSync(folder, { recursive: true, force: true })
  }
}

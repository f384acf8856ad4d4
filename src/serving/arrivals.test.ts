// A crowd that connected while the process computed is let in before the next step.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { noteArrival, readArrivals } from './arrivals.ts'

/** Connects and sends requests at once, and says so by a file: this process has no turn to hear of it otherwise. */
const crowd = `
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
const [port, clients, file] = process.argv.slice(1)
let sent = 0
for (let i = 0; i < Number(clients); i++) {
  const socket = connect(Number(port), '127.0.0.1', () =>
    socket.write('GET / HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n', () => {
      if (++sent === Number(clients)) writeFileSync(file, 'sent')
    }))
  socket.on('error', () => {})
}
setTimeout(() => process.exit(), 60000)
`

it('reads the requests of all connections that wait', async () => {
  const clients = 24
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-arrivals-'))
  const file = join(folder, 'sent')
  let requests = 0
  const server = createServer((_, response) => {
    requests++
    response.end()
  })
  server.on('connection', noteArrival)
  server.on('request', noteArrival)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const child = spawn(process.execPath, ['--input-type=module', '-e', crowd, String(port), String(clients), file], {
    stdio: 'ignore',
  })
  try {
    // The step during which they come.
    const until = performance.now() + 30_000
    while (!existsSync(file) && performance.now() < until);
    expect(requests).toBe(0)
    await readArrivals()
    expect(requests).toBe(clients)
  } finally {
    child.kill()
    server.closeAllConnections()
    server.close()
    rmSync(folder, { recursive: true })
  }
})

// Opens a file in the browser, by the program of the operating system that does so.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline/promises'

const openers: Partial<Record<NodeJS.Platform, string>> = { darwin: 'open', linux: 'xdg-open' }

/** Whether the operating system's program was started. */
export const openPage = (path: string): Promise<boolean> => {
  const opener = openers[process.platform]
  if (opener === undefined) return Promise.resolve(false)
  return new Promise((resolve) => {
    const child = spawn(opener, [path], { detached: true, stdio: 'ignore' })
    child.once('error', () => resolve(false))
    child.once('spawn', () => {
      child.unref()
      resolve(true)
    })
  })
}

/** Asks on a terminal; no elsewhere, and when interrupted. */
export const askToOpen = async (path: string, signal: AbortSignal): Promise<boolean> => {
  if (!process.stdin.isTTY || !process.stdout.isTTY || process.env.CI !== undefined) return false
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await terminal.question(`Open ${path} in the browser? [y/N] `, { signal })
    return /^y(es)?$/i.test(answer.trim())
  } catch {
    return false
  } finally {
    terminal.close()
  }
}

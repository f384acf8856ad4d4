// Opens a page in the user's browser, where there is one.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline/promises'

/** The program that opens an address or a file, by the platform. */
const openers: Partial<Record<NodeJS.Platform, string>> = { darwin: 'open', linux: 'xdg-open' }

/**
 * Opens an address or a file in the default browser.
 * @returns whether a program was started that does so
 */
export const openBrowser = (target: string): Promise<boolean> => {
  const program = openers[process.platform]
  if (program === undefined) return Promise.resolve(false)
  return new Promise((resolve) => {
    const child = spawn(program, [target], { detached: true, stdio: 'ignore' })
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

// Opens a page in the user's browser, where there is one.
import { spawn } from 'node:child_process'

/** The program that opens an address, by the platform. */
const openers: Partial<Record<NodeJS.Platform, string>> = { darwin: 'open', linux: 'xdg-open' }

/** Opens an address in the default browser. Without one, nothing happens: the address is on the terminal. */
export const openBrowser = (url: string): void => {
  const program = openers[process.platform]
  if (program === undefined) return
  const child = spawn(program, [url], { stdio: 'ignore', detached: true })
  child.on('error', () => undefined)
  child.unref()
}

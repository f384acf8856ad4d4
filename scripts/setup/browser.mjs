// Finds a Chromium for the tests of the studio's pages. Users need none: their own browser opens the studio.
import { existsSync } from 'node:fs'
import { findProgram } from './programs.mjs'

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'microsoft-edge']
const macApplications = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
]

/** Path of the browser in TUNESMITH_BROWSER, or of an installed one; undefined without any. */
export const findBrowser = () => {
  const chosen = process.env.TUNESMITH_BROWSER
  if (chosen) return chosen
  return names.map((name) => findProgram(name)).find(Boolean) ?? macApplications.find((path) => existsSync(path))
}

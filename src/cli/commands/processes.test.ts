// What the processes of a launcher do with each command, as the command declares it, is what the guide says.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import type { ProcessesMode } from '../command.ts'
import { commands } from './index.ts'

const guide = readFileSync(fileURLToPath(new URL('../../../docs/clusters.md', import.meta.url)), 'utf8')

/** How a row of the guide's table begins. */
const rowOf: Record<ProcessesMode, string> = {
  joined: 'they train together',
  divided: 'they divide the work',
  first: 'the first one works',
  each: 'each works for itself',
  alone: 'refused',
}

it.each(Object.entries(rowOf))('the guide lists the commands that are "%s"', async (mode, start) => {
  const loaded = await Promise.all(Object.values(commands).map((load) => load()))
  const own = loaded.filter(({ processes = 'alone' }) => processes === mode).map(({ name }) => name)
  const row = guide.split('\n').find((line) => line.startsWith(`| ${start}`)) ?? ''
  const listed = [...(row.split('|')[2] ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name)
  expect(listed.sort()).toEqual(own.sort())
})

// A disk that is really full: a run in a small file system of its own ends in one line, its older checkpoints are whole, and it goes on when
// there is room. Mounting wants a namespace for users, which some machines forbid.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pretrain } from '../../src/runs/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { bundledChild } from '../setup/bundled-child.ts'
import { makeSmallData, remainsOf, type SmallData, smallRecipe } from './small-run.ts'

setThreads(1)

/** Runs a script of bash where it may mount; what it mounts is seen by nobody else and goes with it. */
const inNamespace = (script: string, ...rest: string[]) =>
  spawnSync('unshare', ['--user', '--map-root-user', '--mount', 'bash', '-c', script, 'bash', ...rest], {
    encoding: 'utf8',
    env: { ...process.env, OMP_WAIT_POLICY: 'passive' },
  })
const mayMount = inNamespace('mount -t tmpfs -o size=64k tmpfs /mnt').status === 0

const child = new URL('run-child.ts', import.meta.url)
// Writes what each step says below a line with its name, and keeps the folder of the run outside of what is mounted.
const script = `
set -u
disk=$1; kept=$2; size=$3; shift 3
mount -t tmpfs -o size=$size tmpfs "$disk" || exit 9
"$@"
echo "status $?"
ls -A "$disk/run/checkpoints" | sed 's/^/has /'
mount -o remount,size=64m "$disk"
"$@"
cp -r "$disk/run" "$kept"`

const bytesBelow = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)

describe.skipIf(!mayMount)('a full disk (needs to mount a small one)', () => {
  let data: SmallData
  beforeAll(async () => {
    data = await makeSmallData()
  })
  afterAll(() => data.dispose())

  it('loses nothing older, is said in a line, and the run goes on to the same bits when there is room', async () => {
    const [whole, disk, kept] = ['whole', 'disk', 'kept'].map((name) => join(data.root, name))
    const settings = { budget: { steps: 10 }, keep: { last: 5 } }
    await pretrain(smallRecipe(data, whole, settings))
    const names = readdirSync(join(whole, 'checkpoints')).sort()
    // Room for two checkpoints and a half.
    const size = Math.round(2.5 * bytesBelow(join(whole, 'checkpoints', names[0])))
    mkdirSync(disk)
    const recipe = join(data.root, 'recipe.json')
    writeFileSync(recipe, JSON.stringify(smallRecipe(data, join(disk, 'run'), settings)))
    const run = [process.execPath, await bundledChild(child), recipe]
    const { stdout, stderr } = inNamespace(script, disk, kept, String(size), ...run)
    const lines = stdout.trimEnd().split('\n')
    const end = lines.indexOf('status 1')
    expect(end, stdout + stderr).toBeGreaterThan(0)
    expect(lines[end - 1]).toMatch(
      /^failed CheckpointError: Disk full while writing `.*run`\. Earlier checkpoints are intact: free space, then `node bin\/tunesmith.js resume .*run`\.$/,
    )
    expect(lines.filter((line) => line.startsWith('has '))).toEqual(names.slice(0, 2).map((name) => `has ${name}`))
    expect(lines.at(-1)).toBe('ended finished')
    expect(stderr).toBe('')
    expect(remainsOf(kept)).toEqual(remainsOf(whole))
  })
})

// `tunesmith setup`: the same as `npm run setup` in a clone.
import { z } from 'zod'
import { programCall } from '../../core/index.ts'
import { defineCommand } from '../command.ts'
import { switchField } from '../parts/fields.ts'
import { runSetup, type SetupResult } from '../set-up.ts'

export const setup = defineCommand({
  name: 'setup',
  summary: 'Find or fetch libtorch and build the addon; takes seconds when nothing has changed',
  example: 'tunesmith setup',
  notes: [
    'LIBTORCH=DIR uses the libtorch in a folder, TUNESMITH_CACHE=DIR names the folder for downloads, and TUNESMITH_PREBUILDS=DIR|URL a place with prebuilt addons (default: prebuilds/ in the package).',
  ],
  options: z.strictObject({
    cuda: switchField('use a CUDA build of libtorch'),
    prebuild: switchField('also write the addon to prebuilds/ for other machines, with its SHA-256'),
    quiet: switchField('print only warnings and errors'),
  }),
  engine: false,
  run: async ({ cuda, prebuild, quiet }, _args, { signal }): Promise<SetupResult> =>
    runSetup([...(cuda ? ['--cuda'] : []), ...(prebuild ? ['--prebuild'] : []), ...(quiet ? ['--quiet'] : [])], signal),
  render: ({ libtorch, addon, ready, seconds, prebuilt }) =>
    [
      ready ? 'Set up already.' : `Set up in ${seconds.toFixed(1)} s.`,
      `libtorch  ${libtorch.version} (${libtorch.cuda ? 'CUDA' : 'CPU'}), ${libtorch.source}: ${libtorch.folder}`,
      `addon     ${addon}`,
      `next      ${programCall('doctor')}, ${programCall('quickstart')}, or ${programCall('--help')}`,
      ...(prebuilt === undefined ? [] : [`prebuilt  ${prebuilt}`]),
    ].join('\n'),
})

// `tunesmith completion SHELL`: the completion script of a shell, from the catalogue of commands.
import { z } from 'zod'
import { ConfigError, didYouMean } from '../../core/index.ts'
import { loadCatalogue, readCatalogue } from '../catalogue.ts'
import { defineCommand } from '../command.ts'
import { completionScript, shells } from '../parts/completion-scripts.ts'

export const completion = defineCommand({
  name: 'completion',
  summary: 'Print the completion script of a shell: commands, flags, values and files',
  example: 'tunesmith completion bash',
  notes: [
    'bash: tunesmith completion bash > ~/.local/share/bash-completion/completions/tunesmith',
    'zsh:  tunesmith completion zsh > _tunesmith, in a folder of $fpath',
    'fish: tunesmith completion fish > ~/.config/fish/completions/tunesmith.fish',
    "The script completes `tunesmith`. In a project, add alias tunesmith='npx tunesmith'.",
  ],
  arguments: [{ name: 'shell', description: shells.join(', '), choices: shells }],
  processes: 'each',
  options: z.strictObject({}),
  engine: false,
  run: async (_options, { shell }) => {
    const known = shells.find((name) => name === shell)
    if (known === undefined) {
      throw new ConfigError(
        `Expected one of ${shells.join(', ')} for \`shell\`, got ${shell}.${didYouMean(shell, shells)}`,
      )
    }
    const catalogue = readCatalogue() ?? (await loadCatalogue((await import('./index.ts')).commands))
    return completionScript(known, catalogue)
  },
  render: (script) => script,
})

// The models whose operations are counted: the test preset of each architecture, as fields of config.json. Run as a program, it prints
// them for make-flops.py.
import { fileURLToPath } from 'node:url'
import { type ModelDefinition, models } from '../../src/models/index.ts'

/** Rows and tokens of the inputs. */
export const inputShape = { rows: 2, tokens: 24 }

export const flopModels = (): Record<
  string,
  { config: object; fields: Record<string, unknown>; floats: readonly string[] }
> =>
  Object.fromEntries(
    Object.entries(models as Record<string, ModelDefinition>).map(([type, definition]) => {
      const config = definition.adjust({}, { ...definition.presets.test }) as object
      return [type, { config, fields: definition.toHf(config as never), floats: definition.hfFloats }]
    }),
  )

if (process.argv[1] === fileURLToPath(import.meta.url))
  process.stdout.write(JSON.stringify({ ...inputShape, models: flopModels() }))

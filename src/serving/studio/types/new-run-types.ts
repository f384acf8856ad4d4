// What the pages and the server say to each other about new runs. Only types, independent of Node.
import type { PlannedRow } from '../../../runs/index.ts'

/** Commands that the form starts. */
export type FormCommand = 'pretrain' | 'finetune' | 'multitask' | 'align'

/** A JSON schema, as far as the form reads it. */
export interface FormSchema {
  type?: string
  description?: string
  default?: unknown
  const?: unknown
  enum?: (string | number)[]
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  exclusiveMaximum?: number
  properties?: Record<string, FormSchema>
  required?: string[]
  items?: FormSchema
  anyOf?: FormSchema[]
  oneOf?: FormSchema[]
  /** Another name on the command line, or false for a key that it does not have. */
  flag?: string | false
}

/** A part whose fields depend on a choice: `adapter` on `variant`. */
interface FormPart {
  choice: readonly string[]
  part: readonly string[]
  schemas: Record<string, FormSchema>
}

/** Answer of `GET /api/new-run/:command`. */
export interface RecipeForm {
  command: FormCommand
  schema: FormSchema
  parts: FormPart[]
  /** Dotted names of the settings that are shown first. */
  essentials: string[]
  /** Values that fit a setting, by its dotted name; users may type others. */
  suggestions: Record<string, string[]>
  /** Names of the sizes of each architecture. */
  presets: Record<string, string[]>
  /** A folder that is free, for `out`. */
  out: string
}

/** A fault of a recipe. */
export interface RecipeFault {
  /** Dotted name of the setting; empty for the recipe as a whole. */
  name: string
  message: string
}

/** Answer of `POST /api/new-run/:command/check`. */
export interface RecipeCheck {
  faults: RecipeFault[]
  /** The command line that starts the run. */
  commandLine: string
}

/** Fields of a plan that its page shows as they are. */
type PlannedFields =
  | ('parameters' | 'trainedParameters' | 'tokens' | 'tokensPerStep' | 'flops' | 'flopsPerStep')
  | ('fits' | 'diskBytes')

/** The run before it starts. */
interface ShownPlan extends Pick<PlannedRow, PlannedFields> {
  steps: number | null
  peakBytes: number
  /** Memory of the machine or the budget. */
  memoryBytes: number
  /** What holds the memory at its peak, largest first. */
  holders: { label: string; bytes: number }[]
  /** Seconds with their bounds, where the speed of the machine is known. */
  seconds: { value: number; from: number; to: number; source: string } | null
  money: number | null
  notes: string[]
}

/** Answer of `POST /api/new-run/:command/plan`: a plan, or the reason why there is none. */
export type RecipePlan = { plan: ShownPlan | null; fault: string | null }

/** Answer of `POST /api/new-run/:command/start`. */
export interface StartAnswer {
  /** Id of the run. */
  id: string
  message: string
}

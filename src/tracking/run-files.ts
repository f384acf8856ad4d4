// Every file and folder that a run leaves, by its name: the one list of them. Names are relative to the run's folder.

/** Files and folders at the top of a run's folder. */
export const runFiles = {
  /** The recipe with every default filled in; it is a recipe itself, and what `resume` reads. */
  recipe: 'run.json',
  /** SHA-256 of the files with the user's own code, where the recipe has any. */
  code: 'code.json',
  /** Everything that happened, one JSON object a line (`TrainingEvent`). */
  events: 'events.jsonl',
  /** Wall and CPU time and energy of each session: a run has one more after each `resume`. */
  sessions: 'sessions.json',
  /** What the run was predicted to take before its first step (`RunPrediction`). */
  plan: 'plan.json',
  /** The process that writes in the folder; removed when it ends. */
  lock: '.lock',
  /** Address and token of the model in training, while a command with `--ui` runs; only its user can read it. */
  live: '.live.json',
  /** Asks the run for a checkpoint; the run removes it. */
  checkpointRequest: '.checkpoint-request',
  /** The process that was asked to stop; removed when it ends. */
  stopRequest: '.stop-request',
  /** The recipe of a run that the studio started, as its form had it. */
  form: 'form.json',
  /** What the program of a run printed, if the studio started it. */
  console: 'console.log',
  /** A folder `step-00000400` for each kept checkpoint; `checkpointFiles` lists what is in them. */
  checkpoints: 'checkpoints',
  /** A report `step-00000400.json` for each step that was not finite. */
  incidents: 'incidents',
  /** Event files for TensorBoard. */
  tensorBoard: 'tensorboard',
  /** The finished model: a Hugging Face folder, a PEFT adapter or a feature model; `modelFiles` lists what is added to it. */
  model: 'model',
  /** A Parquet file `rollout-00000001.parquet` for each rollout of reinforcement learning, with every answer. */
  rollouts: 'rollouts',
  /** Validation prompts with the answers before and after fine-tuning (tasks that generate text). */
  samples: 'samples.json',
  /** Data, versions, machine, time, energy and results as data. */
  card: 'run-card.json',
  /** The run card for people. */
  cardText: 'run-card.md',
  /** Curves and tables for a terminal. */
  report: 'report.txt',
  /** Curves and tables as one page without dependencies. */
  reportPage: 'report.html',
  /** The runs that `verify-resume` compares; removed after it. */
  verification: 'verify-resume',
} as const

/** Name of the file in the folder of a sweep, above those of its runs, that holds the recipe, the axes and the search. */
export const SWEEP_FILE = 'sweep.json'

/** Files in the folder of one checkpoint. */
export const checkpointFiles = {
  /** Size and SHA-256 of every other file. A checkpoint without a valid manifest is damaged. */
  manifest: 'manifest.json',
  /** Step, position in the data, recent losses, best evaluation (`RunState`). */
  state: 'state.json',
  /** The weights: a Hugging Face folder, or the adapter's tensors. */
  model: 'model',
  /** The tensors of an adapter, within `model`. */
  adapter: 'adapter.safetensors',
  /** The second model of an objective that has one, such as ELECTRA's generator. */
  auxiliary: 'auxiliary',
  /** State of the optimizer, with float32 master weights. */
  optimizer: 'optimizer.safetensors',
  /** Moving average of the weights, if the recipe keeps one. */
  average: 'average.safetensors',
  /** The tensors of PPO's critic, within `model`. */
  critic: 'critic.safetensors',
  /** Tensors that the criterion carries from step to step, such as a reference that follows the policy. */
  carried: 'carried.safetensors',
  /** Examples that were made while training, such as rollouts whose steps are not done. */
  examples: 'examples',
} as const

/** Files that fine-tuning adds to the folder of its model. */
export const modelFiles = {
  /** Names of the tasks of a run of several: each has a folder of its name here, which is a model of its own. */
  tasks: 'tasks.json',
  /** The task with all settings, and the maximum length of its examples. */
  task: 'task.json',
  /** Scores on the validation records with confidence intervals and reference scores. Two equal runs write equal bytes. */
  evaluation: 'evaluation.json',
  /** Seconds and answers a second of that evaluation, which differ from run to run. */
  timing: 'timing.json',
  /** The prediction for each validation record. */
  predictions: 'predictions.jsonl',
  /** The model card, with the metadata that the Hub reads. */
  card: 'README.md',
} as const

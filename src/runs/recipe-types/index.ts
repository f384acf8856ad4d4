// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

// The types of recipes, with the help of each key as its JSDoc.
export type * from './align.ts'
export type * from './align-objectives.ts'
export type * from './finetune.ts'
export type * from './models.ts'
export type * from './multitask.ts'
export type * from './objectives.ts'
export type * from './optimization.ts'
export type * from './pretrain.ts'
export type * from './run.ts'
export type * from './tasks.ts'
export type * from './variants.ts'

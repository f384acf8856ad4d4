// What the worker thread of the studio computes, by name.
import { compareChosen } from './compare-chosen.ts'
import { predictionPage } from './prediction-page.ts'
import { preferencePage } from './preference-page.ts'
import { rolloutAnswer, rolloutPage } from './rollout-page.ts'

export const analyses = { compareChosen, predictionPage, rolloutPage, rolloutAnswer, preferencePage }

export type Analyses = typeof analyses
export type AnalysisName = keyof Analyses

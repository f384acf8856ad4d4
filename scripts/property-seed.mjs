// Property tests draw the same cases in every run, so that a green suite stays green; TUNESMITH_PROPERTY_SEED explores others.
import fc from 'fast-check'

fc.configureGlobal({ seed: Number(process.env.TUNESMITH_PROPERTY_SEED ?? 1) })

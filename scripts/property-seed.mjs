// Property tests use the same random cases in every run, so a passing suite keeps passing. TUNESMITH_PROPERTY_SEED sets
// another seed.
import fc from 'fast-check'

fc.configureGlobal({ seed: Number(process.env.TUNESMITH_PROPERTY_SEED ?? 1) })

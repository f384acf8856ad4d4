// With TUNESMITH_TEST_DEVICE=strict, models and runs that name no device are on the strict device, which refuses tensors of the CPU.
if (process.env.TUNESMITH_TEST_DEVICE === 'strict') {
  const { enableStrictDevice } = await import('../src/tensor/index.ts')
  enableStrictDevice({ byDefault: true })
}

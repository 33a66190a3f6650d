/** Preloaded into server processes: they must not outlive the test that started them, however that ends. */
process.on('disconnect', () => process.exit(0))

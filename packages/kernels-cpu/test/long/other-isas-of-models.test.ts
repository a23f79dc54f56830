// The suites of test/unit on the instruction sets that they leave out there: see `testedIsas`.
import '../unit/built-in-model.test.js';
import '../unit/transformers.test.js';

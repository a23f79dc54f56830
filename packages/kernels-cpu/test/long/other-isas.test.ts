// The suites of test/unit on the instruction sets that they leave out there: see `testedIsas`.
import '../unit/accumulation-order.test.js';
import '../unit/attention.test.js';
import '../unit/backend-contract.test.js';
import '../unit/end-to-end.test.js';
import '../unit/law-one-property.test.js';
import '../unit/law-one.test.js';
import '../unit/ops.test.js';
import '../unit/quantized.test.js';
import '../unit/sizes.test.js';

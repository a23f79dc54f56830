import { fabricContract } from '../support/fabric-contract.js';

fabricContract('fabric', 'tcp;ofi_rxm');

/** What is measured beside our transports: native/ has a program of each. */
export interface Contender {
  readonly name: string;
  readonly program: string;
  /** Its ways to do it; the best counts. */
  readonly variants: readonly Variant[];
  /** Its launcher makes the processes. */
  readonly launcher?: 'mpirun';
  /** Brings what it needs. */
  readonly install: string;
}

export interface Variant {
  readonly name: string;
  /** What the program calls it. */
  readonly variant: string;
  /** Of the launcher. */
  readonly flags?: readonly string[];
  /** Works with one message at a time only: its throughput does not count. */
  readonly isAlone?: boolean;
}

const compilers = 'apt install cmake make g++';
const sharedMemory = ['--mca', 'pml', 'ob1', '--mca', 'btl', 'self,vader'];
const withCma = [...sharedMemory, '--mca', 'btl_vader_single_copy_mechanism', 'cma'];
const withCopies = [...sharedMemory, '--mca', 'btl_vader_single_copy_mechanism', 'none'];

export const contenders: readonly Contender[] = [
  {
    name: 'openmpi',
    program: 'openmpi',
    variants: [
      { name: 'persistent, CMA', variant: 'persistent', flags: withCma },
      { name: 'persistent, copies', variant: 'persistent', flags: withCopies },
      { name: 'alltoallv, CMA', variant: 'alltoallv', flags: withCma, isAlone: true },
      { name: 'alltoallv, copies', variant: 'alltoallv', flags: withCopies, isAlone: true },
    ],
    launcher: 'mpirun',
    install: 'apt install openmpi-bin libopenmpi-dev',
  },
  {
    name: 'ucx',
    program: 'ucx',
    variants: [
      { name: 'put', variant: 'put' },
      { name: 'tag', variant: 'tag' },
    ],
    install: 'apt install libucx-dev',
  },
  {
    name: 'zeromq',
    program: 'zeromq',
    variants: [{ name: 'ipc', variant: 'ipc' }],
    install: 'apt install libzmq3-dev',
  },
  {
    name: 'grpc',
    program: 'grpc',
    variants: [{ name: 'bidirectional stream', variant: 'unix' }],
    install: 'apt install libgrpc++-dev protobuf-compiler-grpc',
  },
  {
    name: 'unix',
    program: 'sockets',
    variants: [{ name: 'stream', variant: 'unix' }],
    install: compilers,
  },
  {
    name: 'tcp',
    program: 'sockets',
    variants: [{ name: 'loopback', variant: 'tcp' }],
    install: compilers,
  },
  {
    name: 'floor',
    program: 'floor',
    variants: [{ name: 'stores and a flag', variant: '' }],
    install: compilers,
  },
];

//! The server: memory of the host, and kernels run there.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use cubecl::cuda::CudaCompiler;
use cubecl::ir::{DeviceProperties, HardwareProperties, MemoryDeviceProperties, VectorSize};
use cubecl::{Compiler, CubeTask};
use cubecl_common::backtrace::BackTrace;
use cubecl_common::bytes::Bytes;
use cubecl_common::device::{DeviceId, DeviceService};
use cubecl_common::future::DynFut;
use cubecl_common::profile::{ProfileDuration, TimingMethod};
use cubecl_common::stream_id::StreamId;
use cubecl_runtime::allocator::PitchedMemoryLayoutPolicy;
use cubecl_runtime::id::KernelId;
use cubecl_runtime::logging::ServerLogger;
use cubecl_runtime::memory_management::{
    ManagedMemoryHandle, MemoryAllocationMode, MemoryConfiguration, MemoryManagement,
    MemoryManagementOptions, MemoryUsage,
};
use cubecl_runtime::server::{
    Binding, ComputeServer, CopyDescriptor, CubeCount, ExecutionMode, KernelArguments, ProfileError,
    ProfilingToken, ServerCommunication, ServerError, ServerUtilities,
};
use cubecl_runtime::storage::{BytesResource, BytesStorage, ManagedResource};
use cubecl_runtime::timestamp_profiler::TimestampProfiler;

use crate::{host, nvrtc};

/// What CUDA aligns rows to.
const ALIGNMENT: u64 = 512;

/// A CUDA server whose device is the host.
#[derive(Debug)]
pub struct HostServer {
    memory: MemoryManagement<BytesStorage>,
    timestamps: TimestampProfiler,
    utilities: Arc<ServerUtilities<Self>>,
    kernels: HashMap<KernelId, Arc<host::Kernel>>,
    launches: usize,
    /// Whether no kernel is run, and whether each is named then.
    idle: Option<bool>,
    /// What every reading fails with, if it does.
    failing: Option<String>,
}

/// A GPU of compute capability 8.0 without warp and tensor-core instructions, so that no kernel asks for them.
fn properties() -> DeviceProperties {
    let memory = MemoryDeviceProperties { max_page_size: 1 << 30, alignment: ALIGNMENT };
    let hardware = HardwareProperties {
        load_width: 128,
        plane_size_min: 32,
        plane_size_max: 32,
        max_bindings: 1024,
        max_shared_memory_size: 163 << 10,
        max_cube_count: (i32::MAX as u32, u16::MAX as u32, u16::MAX as u32),
        max_units_per_cube: 1024,
        max_cube_dim: (1024, 1024, 64),
        num_streaming_multiprocessors: Some(108),
        num_tensor_cores: None,
        min_tensor_cores_dim: None,
        num_cpu_cores: None,
        max_vector_size: VectorSize::MAX,
    };
    let mut properties = DeviceProperties::new(Default::default(), memory, hardware, TimingMethod::System);
    cubecl_cpp::register_supported_types(&mut properties);
    properties
}

impl HostServer {
    fn resource(&mut self, binding: &Binding) -> BytesResource {
        let (start, end) = (binding.offset_start, binding.offset_end);
        let found = self.memory.get_resource(binding.memory.clone(), start, end);
        found.unwrap_or_else(|error| panic!("memory of a tensor: {error:?}"))
    }

    fn kernel(&mut self, task: Box<dyn CubeTask<CudaCompiler>>, mode: ExecutionMode) -> Arc<host::Kernel> {
        let id = task.id();
        if let Some(kernel) = self.kernels.get(&id) {
            return kernel.clone();
        }
        let mut options = <CudaCompiler as Compiler>::CompilationOptions::default();
        options.supports_features.fast_math = true;
        options.supports_features.grid_constants = true;
        let compiled = task.compile(&mut CudaCompiler::default(), &options, mode, task.address_type());
        let compiled = compiled.unwrap_or_else(|error| panic!("{}: {error:?}", task.name()));
        let (name, source) = (&compiled.entrypoint_name, &compiled.source);
        let kernel = std::thread::scope(|scope| {
            let checked = scope.spawn(|| nvrtc::check(name, source));
            let kernel = host::Kernel::new(name, source, compiled.cube_dim);
            checked.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            kernel
        });
        self.kernels.entry(id).or_insert(Arc::new(kernel)).clone()
    }
}

/// The rows of a tensor in memory, as pairs of where it stands there and where without gaps.
fn rows(descriptor: &CopyDescriptor) -> (usize, impl Iterator<Item = (usize, usize)>) {
    let rank = descriptor.shape.len();
    let width = descriptor.shape.last().copied().unwrap_or(1) * descriptor.elem_size;
    let count: usize = descriptor.shape.iter().rev().skip(1).product();
    let pitch = if rank > 1 { descriptor.strides[rank - 2] * descriptor.elem_size } else { width };
    (width, (0..count).map(move |row| (row * pitch, row * width)))
}

impl DeviceService for HostServer {
    fn init(_device: DeviceId) -> Self {
        let properties = properties();
        let logger = Arc::new(ServerLogger::default());
        let memory = MemoryManagement::from_configuration(
            BytesStorage::default(),
            &properties.memory,
            MemoryConfiguration::default(),
            logger.clone(),
            MemoryManagementOptions::new("host"),
        );
        let layout = PitchedMemoryLayoutPolicy::new(ALIGNMENT as usize);
        let utilities = Arc::new(ServerUtilities::new(properties, logger, (), layout));
        let timestamps = TimestampProfiler::default();
        let idle = std::env::var_os("CL_IDLE_DEVICE").map(|value| value == "names");
        let failing = std::env::var("CL_FAILING_DEVICE").ok();
        Self { memory, timestamps, utilities, kernels: HashMap::new(), launches: 0, idle, failing }
    }

    fn utilities(&self) -> Arc<dyn Any + Send + Sync> {
        self.utilities.clone()
    }
}

impl ServerCommunication for HostServer {
    const SERVER_COMM_ENABLED: bool = false;
}

impl ComputeServer for HostServer {
    type Kernel = Box<dyn CubeTask<CudaCompiler>>;
    type Info = ();
    type MemoryLayoutPolicy = PitchedMemoryLayoutPolicy;
    type Storage = BytesStorage;

    fn initialize_memory(&mut self, memory: ManagedMemoryHandle, size: u64, _stream: StreamId) {
        let reserved = self.memory.reserve(size).unwrap_or_else(|error| panic!("{size} bytes: {error:?}"));
        self.memory.bind(reserved, memory, 0).unwrap_or_else(|error| panic!("{size} bytes: {error:?}"));
    }

    fn logger(&self) -> Arc<ServerLogger> {
        self.utilities.logger.clone()
    }

    fn utilities(&self) -> Arc<ServerUtilities<Self>> {
        self.utilities.clone()
    }

    fn read(
        &mut self,
        descriptors: Vec<CopyDescriptor>,
        _stream: StreamId,
    ) -> DynFut<Result<Vec<Bytes>, ServerError>> {
        let read = |descriptor: CopyDescriptor| {
            let (width, rows) = rows(&descriptor);
            let source = self.resource(&descriptor.handle);
            let mut out = Vec::new();
            for (at, _) in rows {
                out.extend_from_slice(&source.read()[at..at + width]);
            }
            if self.idle.is_some() {
                // Whole numbers that are ids of something, and as floats close to 0 but not all alike.
                for (at, number) in out.chunks_exact_mut(4).enumerate() {
                    number.copy_from_slice(&(1 + at as u32 % 7).to_le_bytes());
                }
            }
            Bytes::from_bytes_vec(out)
        };
        let bytes = descriptors.into_iter().map(read).collect();
        // CubeCL keeps the errors of launches, and tells them to whoever reads next.
        let failed = self.failing.clone();
        let failed = failed.map(|reason| ServerError::Generic { reason, backtrace: BackTrace::capture() });
        Box::pin(async move { failed.map_or(Ok(bytes), Err) })
    }

    fn write(&mut self, descriptors: Vec<(CopyDescriptor, Bytes)>, _stream: StreamId) {
        for (descriptor, bytes) in descriptors {
            if self.idle == Some(true) {
                eprintln!("copy {}", bytes.len());
            }
            let (width, rows) = rows(&descriptor);
            let mut target = self.resource(&descriptor.handle);
            for (to, from) in rows {
                target.write()[to..to + width].copy_from_slice(&bytes[from..from + width]);
            }
        }
    }

    fn sync(&mut self, _stream: StreamId) -> DynFut<Result<(), ServerError>> {
        Box::pin(async { Ok(()) })
    }

    fn get_resource(
        &mut self,
        binding: Binding,
        _stream: StreamId,
    ) -> Result<ManagedResource<BytesResource>, ServerError> {
        let resource = self.resource(&binding);
        Ok(ManagedResource::new(binding.memory, resource))
    }

    unsafe fn launch(
        &mut self,
        kernel: Self::Kernel,
        count: CubeCount,
        arguments: KernelArguments,
        mode: ExecutionMode,
        _stream: StreamId,
    ) {
        let CubeCount::Static(x, y, z) = count else {
            panic!("{}: a number of cubes that is read from the device", kernel.name());
        };
        assert!(arguments.tensor_maps.is_empty(), "{}: tensor maps", kernel.name());
        let buffers: Vec<_> = arguments.buffers.iter().map(|binding| self.resource(binding)).collect();
        let pointers = buffers.iter().map(|buffer| buffer.get_write_ptr_and_length().0).collect();
        self.launches += 1;
        if let Some(names) = self.idle {
            // What a server does before it hands a kernel to its driver.
            let _ = kernel.id();
            if names {
                eprintln!("launch {}", kernel.name());
            }
            return;
        }
        let kernel = self.kernel(kernel, mode);
        // SAFETY: the buffers live as long as `arguments`, and kernels keep to them.
        unsafe { kernel.run(pointers, &arguments.info, [x, y, z], self.launches.is_multiple_of(2)) };
    }

    fn flush(&mut self, _stream: StreamId) -> Result<(), ServerError> {
        Ok(())
    }

    fn memory_usage(&mut self, _stream: StreamId) -> Result<MemoryUsage, ServerError> {
        Ok(self.memory.memory_usage())
    }

    fn memory_cleanup(&mut self, _stream: StreamId) {
        self.memory.cleanup(true);
    }

    fn start_profile(&mut self, _stream: StreamId) -> Result<ProfilingToken, ServerError> {
        Ok(self.timestamps.start())
    }

    fn end_profile(
        &mut self,
        _stream: StreamId,
        token: ProfilingToken,
    ) -> Result<ProfileDuration, ProfileError> {
        self.timestamps.stop(token)
    }

    fn allocation_mode(&mut self, mode: MemoryAllocationMode, _stream: StreamId) {
        self.memory.mode(mode);
    }
}

package interop

import (
	"time"

	reportpb "github.com/cncf/xds/go/xds/data/orca/v3"
	orcapb "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/grpc/orca"
)

// loadReporter is an ORCA service that reports as often as it is asked to.
// grpc-go's own reports every 30 s at most, unless told otherwise through one
// of its internal packages, and orca_oob waits 30 s for two reports.
type loadReporter struct {
	orcapb.UnimplementedOpenRcaServiceServer
	metrics orca.ServerMetricsProvider
}

// StreamCoreMetrics sends a load report now and then one every interval that
// the request asks for.
func (r *loadReporter) StreamCoreMetrics(req *orcapb.OrcaLoadReportRequest, stream orcapb.OpenRcaService_StreamCoreMetricsServer) error {
	interval := req.GetReportInterval().AsDuration()
	if interval <= 0 {
		interval = time.Second
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := stream.Send(report(r.metrics.ServerMetrics())); err != nil {
			return err
		}
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-ticker.C:
		}
	}
}

// report has the fields of m that the cases set. A negative number means unset.
func report(m *orca.ServerMetrics) *reportpb.OrcaLoadReport {
	return &reportpb.OrcaLoadReport{
		CpuUtilization: max(m.CPUUtilization, 0),
		MemUtilization: max(m.MemUtilization, 0),
		Utilization:    m.Utilization,
	}
}

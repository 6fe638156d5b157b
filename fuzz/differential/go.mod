module culvert/fuzz/differential

go 1.26.0

require (
	culvert v0.0.0
	github.com/coder/websocket v1.8.15
)

require (
	github.com/gobwas/httphead v0.1.0 // indirect
	github.com/gobwas/ws v1.5.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace culvert => ../..

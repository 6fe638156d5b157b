// Package fuzz holds the fuzz targets of the project. They use the exported
// API alone; what they found is kept in testdata.
//
//	make fuzz T=10m
package fuzz

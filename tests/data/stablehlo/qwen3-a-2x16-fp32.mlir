module @reranker_2x16_fp32 {
  func.func public @main(
      %ids: tensor<2x16xi32>,
      %lengths: tensor<2xi32>,
      %words: tensor<296x32xf32>,
      %block_0_attention_norm_gamma: tensor<32xf32>,
      %block_0_query_weight: tensor<64x32xf32>,
      %block_0_key_weight: tensor<32x32xf32>,
      %block_0_value_weight: tensor<32x32xf32>,
      %block_0_query_norm_gamma: tensor<16xf32>,
      %block_0_key_norm_gamma: tensor<16xf32>,
      %rope_0_cosines: tensor<192x8xf32>,
      %rope_0_sines: tensor<192x8xf32>,
      %block_0_attention_output_weight: tensor<32x64xf32>,
      %block_0_output_norm_gamma: tensor<32xf32>,
      %block_0_up_weight: tensor<48x32xf32>,
      %block_0_gate_weight: tensor<48x32xf32>,
      %block_0_down_weight: tensor<32x48xf32>,
      %block_1_attention_norm_gamma: tensor<32xf32>,
      %block_1_query_weight: tensor<64x32xf32>,
      %block_1_key_weight: tensor<32x32xf32>,
      %block_1_value_weight: tensor<32x32xf32>,
      %block_1_query_norm_gamma: tensor<16xf32>,
      %block_1_key_norm_gamma: tensor<16xf32>,
      %block_1_attention_output_weight: tensor<32x64xf32>,
      %block_1_output_norm_gamma: tensor<32xf32>,
      %block_1_up_weight: tensor<48x32xf32>,
      %block_1_gate_weight: tensor<48x32xf32>,
      %block_1_down_weight: tensor<32x48xf32>,
      %final_norm_gamma: tensor<32xf32>,
      %head_output_weight: tensor<1x32xf32>
  ) -> tensor<2xf32> {
    // which tokens lie inside their sequences
    %mask_broadcast_0 = stablehlo.broadcast_in_dim %lengths, dims = [0] : (tensor<2xi32>) -> tensor<2x16xi32>
    %mask_iota_1 = stablehlo.iota dim = 1 : tensor<2x16xi32>
    %mask_compare_2 = stablehlo.compare LT, %mask_iota_1, %mask_broadcast_0, SIGNED : (tensor<2x16xi32>, tensor<2x16xi32>) -> tensor<2x16xi1>

    // embedding
    %embedding_rows_3 = "stablehlo.gather"(%words, %ids) {dimension_numbers = #stablehlo.gather<offset_dims = [2], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 2>, slice_sizes = array<i64: 1, 32>, indices_are_sorted = false} : (tensor<296x32xf32>, tensor<2x16xi32>) -> tensor<2x16x32xf32>

    // block 0: attention
    %b0_multiply_4 = stablehlo.multiply %embedding_rows_3, %embedding_rows_3 : tensor<2x16x32xf32>
    %b0_constant_5 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_6 = stablehlo.reduce(%b0_multiply_4 init: %b0_constant_5) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b0_constant_7 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b0_multiply_8 = stablehlo.multiply %b0_reduce_6, %b0_constant_7 : tensor<2x16xf32>
    %b0_constant_9 = stablehlo.constant dense<9.99999997e-07> : tensor<2x16xf32>
    %b0_add_10 = stablehlo.add %b0_multiply_8, %b0_constant_9 : tensor<2x16xf32>
    %b0_rsqrt_11 = stablehlo.rsqrt %b0_add_10 : tensor<2x16xf32>
    %b0_broadcast_12 = stablehlo.broadcast_in_dim %b0_rsqrt_11, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_13 = stablehlo.multiply %embedding_rows_3, %b0_broadcast_12 : tensor<2x16x32xf32>
    %b0_broadcast_14 = stablehlo.broadcast_in_dim %block_0_attention_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_15 = stablehlo.multiply %b0_multiply_13, %b0_broadcast_14 : tensor<2x16x32xf32>
    %b0_dot_16 = stablehlo.dot_general %b0_multiply_15, %block_0_query_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<64x32xf32>) -> tensor<2x16x64xf32>
    %b0_reshape_17 = stablehlo.reshape %b0_dot_16 : (tensor<2x16x64xf32>) -> tensor<2x16x4x16xf32>
    %b0_dot_18 = stablehlo.dot_general %b0_multiply_15, %block_0_key_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b0_reshape_19 = stablehlo.reshape %b0_dot_18 : (tensor<2x16x32xf32>) -> tensor<2x16x2x16xf32>
    %b0_dot_20 = stablehlo.dot_general %b0_multiply_15, %block_0_value_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b0_reshape_21 = stablehlo.reshape %b0_dot_20 : (tensor<2x16x32xf32>) -> tensor<2x16x2x16xf32>
    %b0_multiply_22 = stablehlo.multiply %b0_reshape_17, %b0_reshape_17 : tensor<2x16x4x16xf32>
    %b0_constant_23 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_24 = stablehlo.reduce(%b0_multiply_22 init: %b0_constant_23) applies stablehlo.add across dimensions = [3] : (tensor<2x16x4x16xf32>, tensor<f32>) -> tensor<2x16x4xf32>
    %b0_constant_25 = stablehlo.constant dense<0.0625> : tensor<2x16x4xf32>
    %b0_multiply_26 = stablehlo.multiply %b0_reduce_24, %b0_constant_25 : tensor<2x16x4xf32>
    %b0_constant_27 = stablehlo.constant dense<9.99999997e-07> : tensor<2x16x4xf32>
    %b0_add_28 = stablehlo.add %b0_multiply_26, %b0_constant_27 : tensor<2x16x4xf32>
    %b0_rsqrt_29 = stablehlo.rsqrt %b0_add_28 : tensor<2x16x4xf32>
    %b0_broadcast_30 = stablehlo.broadcast_in_dim %b0_rsqrt_29, dims = [0, 1, 2] : (tensor<2x16x4xf32>) -> tensor<2x16x4x16xf32>
    %b0_multiply_31 = stablehlo.multiply %b0_reshape_17, %b0_broadcast_30 : tensor<2x16x4x16xf32>
    %b0_broadcast_32 = stablehlo.broadcast_in_dim %block_0_query_norm_gamma, dims = [3] : (tensor<16xf32>) -> tensor<2x16x4x16xf32>
    %b0_multiply_33 = stablehlo.multiply %b0_multiply_31, %b0_broadcast_32 : tensor<2x16x4x16xf32>
    %b0_multiply_34 = stablehlo.multiply %b0_reshape_19, %b0_reshape_19 : tensor<2x16x2x16xf32>
    %b0_constant_35 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_36 = stablehlo.reduce(%b0_multiply_34 init: %b0_constant_35) applies stablehlo.add across dimensions = [3] : (tensor<2x16x2x16xf32>, tensor<f32>) -> tensor<2x16x2xf32>
    %b0_constant_37 = stablehlo.constant dense<0.0625> : tensor<2x16x2xf32>
    %b0_multiply_38 = stablehlo.multiply %b0_reduce_36, %b0_constant_37 : tensor<2x16x2xf32>
    %b0_constant_39 = stablehlo.constant dense<9.99999997e-07> : tensor<2x16x2xf32>
    %b0_add_40 = stablehlo.add %b0_multiply_38, %b0_constant_39 : tensor<2x16x2xf32>
    %b0_rsqrt_41 = stablehlo.rsqrt %b0_add_40 : tensor<2x16x2xf32>
    %b0_broadcast_42 = stablehlo.broadcast_in_dim %b0_rsqrt_41, dims = [0, 1, 2] : (tensor<2x16x2xf32>) -> tensor<2x16x2x16xf32>
    %b0_multiply_43 = stablehlo.multiply %b0_reshape_19, %b0_broadcast_42 : tensor<2x16x2x16xf32>
    %b0_broadcast_44 = stablehlo.broadcast_in_dim %block_0_key_norm_gamma, dims = [3] : (tensor<16xf32>) -> tensor<2x16x2x16xf32>
    %b0_multiply_45 = stablehlo.multiply %b0_multiply_43, %b0_broadcast_44 : tensor<2x16x2x16xf32>
    %b0_slice_46 = stablehlo.slice %rope_0_cosines [0:16, 0:8] : (tensor<192x8xf32>) -> tensor<16x8xf32>
    %b0_broadcast_47 = stablehlo.broadcast_in_dim %b0_slice_46, dims = [1, 3] : (tensor<16x8xf32>) -> tensor<2x16x4x8xf32>
    %b0_slice_48 = stablehlo.slice %rope_0_sines [0:16, 0:8] : (tensor<192x8xf32>) -> tensor<16x8xf32>
    %b0_broadcast_49 = stablehlo.broadcast_in_dim %b0_slice_48, dims = [1, 3] : (tensor<16x8xf32>) -> tensor<2x16x4x8xf32>
    %b0_slice_50 = stablehlo.slice %b0_multiply_33 [0:2, 0:16, 0:4, 0:8] : (tensor<2x16x4x16xf32>) -> tensor<2x16x4x8xf32>
    %b0_slice_51 = stablehlo.slice %b0_multiply_33 [0:2, 0:16, 0:4, 8:16] : (tensor<2x16x4x16xf32>) -> tensor<2x16x4x8xf32>
    %b0_multiply_52 = stablehlo.multiply %b0_slice_51, %b0_broadcast_49 : tensor<2x16x4x8xf32>
    %b0_multiply_53 = stablehlo.multiply %b0_slice_50, %b0_broadcast_47 : tensor<2x16x4x8xf32>
    %b0_subtract_54 = stablehlo.subtract %b0_multiply_53, %b0_multiply_52 : tensor<2x16x4x8xf32>
    %b0_multiply_55 = stablehlo.multiply %b0_slice_50, %b0_broadcast_49 : tensor<2x16x4x8xf32>
    %b0_multiply_56 = stablehlo.multiply %b0_slice_51, %b0_broadcast_47 : tensor<2x16x4x8xf32>
    %b0_add_57 = stablehlo.add %b0_multiply_56, %b0_multiply_55 : tensor<2x16x4x8xf32>
    %b0_concatenate_58 = stablehlo.concatenate %b0_subtract_54, %b0_add_57, dim = 3 : (tensor<2x16x4x8xf32>, tensor<2x16x4x8xf32>) -> tensor<2x16x4x16xf32>
    %b0_slice_59 = stablehlo.slice %rope_0_cosines [0:16, 0:8] : (tensor<192x8xf32>) -> tensor<16x8xf32>
    %b0_broadcast_60 = stablehlo.broadcast_in_dim %b0_slice_59, dims = [1, 3] : (tensor<16x8xf32>) -> tensor<2x16x2x8xf32>
    %b0_slice_61 = stablehlo.slice %rope_0_sines [0:16, 0:8] : (tensor<192x8xf32>) -> tensor<16x8xf32>
    %b0_broadcast_62 = stablehlo.broadcast_in_dim %b0_slice_61, dims = [1, 3] : (tensor<16x8xf32>) -> tensor<2x16x2x8xf32>
    %b0_slice_63 = stablehlo.slice %b0_multiply_45 [0:2, 0:16, 0:2, 0:8] : (tensor<2x16x2x16xf32>) -> tensor<2x16x2x8xf32>
    %b0_slice_64 = stablehlo.slice %b0_multiply_45 [0:2, 0:16, 0:2, 8:16] : (tensor<2x16x2x16xf32>) -> tensor<2x16x2x8xf32>
    %b0_multiply_65 = stablehlo.multiply %b0_slice_64, %b0_broadcast_62 : tensor<2x16x2x8xf32>
    %b0_multiply_66 = stablehlo.multiply %b0_slice_63, %b0_broadcast_60 : tensor<2x16x2x8xf32>
    %b0_subtract_67 = stablehlo.subtract %b0_multiply_66, %b0_multiply_65 : tensor<2x16x2x8xf32>
    %b0_multiply_68 = stablehlo.multiply %b0_slice_63, %b0_broadcast_62 : tensor<2x16x2x8xf32>
    %b0_multiply_69 = stablehlo.multiply %b0_slice_64, %b0_broadcast_60 : tensor<2x16x2x8xf32>
    %b0_add_70 = stablehlo.add %b0_multiply_69, %b0_multiply_68 : tensor<2x16x2x8xf32>
    %b0_concatenate_71 = stablehlo.concatenate %b0_subtract_67, %b0_add_70, dim = 3 : (tensor<2x16x2x8xf32>, tensor<2x16x2x8xf32>) -> tensor<2x16x2x16xf32>
    %b0_broadcast_72 = stablehlo.broadcast_in_dim %b0_concatenate_71, dims = [0, 1, 2, 4] : (tensor<2x16x2x16xf32>) -> tensor<2x16x2x2x16xf32>
    %b0_reshape_73 = stablehlo.reshape %b0_broadcast_72 : (tensor<2x16x2x2x16xf32>) -> tensor<2x16x4x16xf32>
    %b0_dot_74 = stablehlo.dot_general %b0_concatenate_58, %b0_reshape_73, batching_dims = [0, 2] x [0, 2], contracting_dims = [3] x [3], precision = [HIGHEST, HIGHEST] : (tensor<2x16x4x16xf32>, tensor<2x16x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b0_constant_75 = stablehlo.constant dense<0.25> : tensor<2x4x16x16xf32>
    %b0_multiply_76 = stablehlo.multiply %b0_dot_74, %b0_constant_75 : tensor<2x4x16x16xf32>
    %b0_broadcast_77 = stablehlo.broadcast_in_dim %mask_compare_2, dims = [0, 2] : (tensor<2x16xi1>) -> tensor<2x16x16xi1>
    %b0_iota_78 = stablehlo.iota dim = 1 : tensor<16x16xi32>
    %b0_iota_79 = stablehlo.iota dim = 0 : tensor<16x16xi32>
    %b0_subtract_80 = stablehlo.subtract %b0_iota_79, %b0_iota_78 : tensor<16x16xi32>
    %b0_constant_81 = stablehlo.constant dense<0> : tensor<16x16xi32>
    %b0_constant_82 = stablehlo.constant dense<0> : tensor<16x16xi32>
    %b0_compare_83 = stablehlo.compare GE, %b0_subtract_80, %b0_constant_82, SIGNED : (tensor<16x16xi32>, tensor<16x16xi32>) -> tensor<16x16xi1>
    %b0_broadcast_84 = stablehlo.broadcast_in_dim %b0_compare_83, dims = [1, 2] : (tensor<16x16xi1>) -> tensor<2x16x16xi1>
    %b0_and_85 = stablehlo.and %b0_broadcast_77, %b0_broadcast_84 : tensor<2x16x16xi1>
    %b0_broadcast_86 = stablehlo.broadcast_in_dim %b0_reshape_21, dims = [0, 1, 2, 4] : (tensor<2x16x2x16xf32>) -> tensor<2x16x2x2x16xf32>
    %b0_reshape_87 = stablehlo.reshape %b0_broadcast_86 : (tensor<2x16x2x2x16xf32>) -> tensor<2x16x4x16xf32>
    %b0_constant_88 = stablehlo.constant dense<-1.00000002e+30> : tensor<2x4x16x16xf32>
    %b0_broadcast_89 = stablehlo.broadcast_in_dim %b0_and_85, dims = [0, 2, 3] : (tensor<2x16x16xi1>) -> tensor<2x4x16x16xi1>
    %b0_select_90 = stablehlo.select %b0_broadcast_89, %b0_multiply_76, %b0_constant_88 : tensor<2x4x16x16xi1>, tensor<2x4x16x16xf32>
    %b0_constant_91 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %b0_reduce_92 = stablehlo.reduce(%b0_select_90 init: %b0_constant_91) applies stablehlo.maximum across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b0_broadcast_93 = stablehlo.broadcast_in_dim %b0_reduce_92, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b0_subtract_94 = stablehlo.subtract %b0_select_90, %b0_broadcast_93 : tensor<2x4x16x16xf32>
    %b0_exponential_95 = stablehlo.exponential %b0_subtract_94 : tensor<2x4x16x16xf32>
    %b0_constant_96 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_97 = stablehlo.reduce(%b0_exponential_95 init: %b0_constant_96) applies stablehlo.add across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b0_broadcast_98 = stablehlo.broadcast_in_dim %b0_reduce_97, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b0_divide_99 = stablehlo.divide %b0_exponential_95, %b0_broadcast_98 : tensor<2x4x16x16xf32>
    %b0_dot_100 = stablehlo.dot_general %b0_divide_99, %b0_reshape_87, batching_dims = [0, 1] x [0, 2], contracting_dims = [3] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x4x16x16xf32>, tensor<2x16x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b0_transpose_101 = stablehlo.transpose %b0_dot_100, dims = [0, 2, 1, 3] : (tensor<2x4x16x16xf32>) -> tensor<2x16x4x16xf32>
    %b0_reshape_102 = stablehlo.reshape %b0_transpose_101 : (tensor<2x16x4x16xf32>) -> tensor<2x16x64xf32>
    %b0_dot_103 = stablehlo.dot_general %b0_reshape_102, %block_0_attention_output_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x64xf32>, tensor<32x64xf32>) -> tensor<2x16x32xf32>
    %b0_add_104 = stablehlo.add %embedding_rows_3, %b0_dot_103 : tensor<2x16x32xf32>

    // block 0: feed-forward
    %b0_multiply_105 = stablehlo.multiply %b0_add_104, %b0_add_104 : tensor<2x16x32xf32>
    %b0_constant_106 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_107 = stablehlo.reduce(%b0_multiply_105 init: %b0_constant_106) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b0_constant_108 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b0_multiply_109 = stablehlo.multiply %b0_reduce_107, %b0_constant_108 : tensor<2x16xf32>
    %b0_constant_110 = stablehlo.constant dense<9.99999997e-07> : tensor<2x16xf32>
    %b0_add_111 = stablehlo.add %b0_multiply_109, %b0_constant_110 : tensor<2x16xf32>
    %b0_rsqrt_112 = stablehlo.rsqrt %b0_add_111 : tensor<2x16xf32>
    %b0_broadcast_113 = stablehlo.broadcast_in_dim %b0_rsqrt_112, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_114 = stablehlo.multiply %b0_add_104, %b0_broadcast_113 : tensor<2x16x32xf32>
    %b0_broadcast_115 = stablehlo.broadcast_in_dim %block_0_output_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_116 = stablehlo.multiply %b0_multiply_114, %b0_broadcast_115 : tensor<2x16x32xf32>
    %b0_dot_117 = stablehlo.dot_general %b0_multiply_116, %block_0_up_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<48x32xf32>) -> tensor<2x16x48xf32>
    %b0_dot_118 = stablehlo.dot_general %b0_multiply_116, %block_0_gate_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<48x32xf32>) -> tensor<2x16x48xf32>
    %b0_negate_119 = stablehlo.negate %b0_dot_118 : tensor<2x16x48xf32>
    %b0_exponential_120 = stablehlo.exponential %b0_negate_119 : tensor<2x16x48xf32>
    %b0_constant_121 = stablehlo.constant dense<1.0> : tensor<2x16x48xf32>
    %b0_add_122 = stablehlo.add %b0_exponential_120, %b0_constant_121 : tensor<2x16x48xf32>
    %b0_divide_123 = stablehlo.divide %b0_dot_118, %b0_add_122 : tensor<2x16x48xf32>
    %b0_multiply_124 = stablehlo.multiply %b0_divide_123, %b0_dot_117 : tensor<2x16x48xf32>
    %b0_dot_125 = stablehlo.dot_general %b0_multiply_124, %block_0_down_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x48xf32>, tensor<32x48xf32>) -> tensor<2x16x32xf32>
    %b0_add_126 = stablehlo.add %b0_add_104, %b0_dot_125 : tensor<2x16x32xf32>

    // block 1: attention
    %b1_multiply_127 = stablehlo.multiply %b0_add_126, %b0_add_126 : tensor<2x16x32xf32>
    %b1_constant_128 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_129 = stablehlo.reduce(%b1_multiply_127 init: %b1_constant_128) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b1_constant_130 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b1_multiply_131 = stablehlo.multiply %b1_reduce_129, %b1_constant_130 : tensor<2x16xf32>
    %b1_constant_132 = stablehlo.constant dense<9.99999997e-07> : tensor<2x16xf32>
    %b1_add_133 = stablehlo.add %b1_multiply_131, %b1_constant_132 : tensor<2x16xf32>
    %b1_rsqrt_134 = stablehlo.rsqrt %b1_add_133 : tensor<2x16xf32>
    %b1_broadcast_135 = stablehlo.broadcast_in_dim %b1_rsqrt_134, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b1_multiply_136 = stablehlo.multiply %b0_add_126, %b1_broadcast_135 : tensor<2x16x32xf32>
    %b1_broadcast_137 = stablehlo.broadcast_in_dim %block_1_attention_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b1_multiply_138 = stablehlo.multiply %b1_multiply_136, %b1_broadcast_137 : tensor<2x16x32xf32>
    %b1_constant_139 = stablehlo.constant dense<16> : tensor<2xi32>
    %b1_iota_140 = stablehlo.iota dim = 0 : tensor<2xi32>
    %b1_multiply_141 = stablehlo.multiply %b1_iota_140, %b1_constant_139 : tensor<2xi32>
    %b1_constant_142 = stablehlo.constant dense<1> : tensor<2xi32>
    %b1_subtract_143 = stablehlo.subtract %lengths, %b1_constant_142 : tensor<2xi32>
    %b1_add_144 = stablehlo.add %b1_multiply_141, %b1_subtract_143 : tensor<2xi32>
    %b1_reshape_145 = stablehlo.reshape %b1_multiply_138 : (tensor<2x16x32xf32>) -> tensor<32x32xf32>
    %b1_rows_146 = "stablehlo.gather"(%b1_reshape_145, %b1_add_144) {dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 32>, indices_are_sorted = false} : (tensor<32x32xf32>, tensor<2xi32>) -> tensor<2x32xf32>
    %b1_reshape_147 = stablehlo.reshape %b1_rows_146 : (tensor<2x32xf32>) -> tensor<2x1x32xf32>
    %b1_dot_148 = stablehlo.dot_general %b1_reshape_147, %block_1_query_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x32xf32>, tensor<64x32xf32>) -> tensor<2x1x64xf32>
    %b1_reshape_149 = stablehlo.reshape %b1_dot_148 : (tensor<2x1x64xf32>) -> tensor<2x1x4x16xf32>
    %b1_dot_150 = stablehlo.dot_general %b1_multiply_138, %block_1_key_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b1_reshape_151 = stablehlo.reshape %b1_dot_150 : (tensor<2x16x32xf32>) -> tensor<2x16x2x16xf32>
    %b1_dot_152 = stablehlo.dot_general %b1_multiply_138, %block_1_value_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b1_reshape_153 = stablehlo.reshape %b1_dot_152 : (tensor<2x16x32xf32>) -> tensor<2x16x2x16xf32>
    %b1_multiply_154 = stablehlo.multiply %b1_reshape_149, %b1_reshape_149 : tensor<2x1x4x16xf32>
    %b1_constant_155 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_156 = stablehlo.reduce(%b1_multiply_154 init: %b1_constant_155) applies stablehlo.add across dimensions = [3] : (tensor<2x1x4x16xf32>, tensor<f32>) -> tensor<2x1x4xf32>
    %b1_constant_157 = stablehlo.constant dense<0.0625> : tensor<2x1x4xf32>
    %b1_multiply_158 = stablehlo.multiply %b1_reduce_156, %b1_constant_157 : tensor<2x1x4xf32>
    %b1_constant_159 = stablehlo.constant dense<9.99999997e-07> : tensor<2x1x4xf32>
    %b1_add_160 = stablehlo.add %b1_multiply_158, %b1_constant_159 : tensor<2x1x4xf32>
    %b1_rsqrt_161 = stablehlo.rsqrt %b1_add_160 : tensor<2x1x4xf32>
    %b1_broadcast_162 = stablehlo.broadcast_in_dim %b1_rsqrt_161, dims = [0, 1, 2] : (tensor<2x1x4xf32>) -> tensor<2x1x4x16xf32>
    %b1_multiply_163 = stablehlo.multiply %b1_reshape_149, %b1_broadcast_162 : tensor<2x1x4x16xf32>
    %b1_broadcast_164 = stablehlo.broadcast_in_dim %block_1_query_norm_gamma, dims = [3] : (tensor<16xf32>) -> tensor<2x1x4x16xf32>
    %b1_multiply_165 = stablehlo.multiply %b1_multiply_163, %b1_broadcast_164 : tensor<2x1x4x16xf32>
    %b1_multiply_166 = stablehlo.multiply %b1_reshape_151, %b1_reshape_151 : tensor<2x16x2x16xf32>
    %b1_constant_167 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_168 = stablehlo.reduce(%b1_multiply_166 init: %b1_constant_167) applies stablehlo.add across dimensions = [3] : (tensor<2x16x2x16xf32>, tensor<f32>) -> tensor<2x16x2xf32>
    %b1_constant_169 = stablehlo.constant dense<0.0625> : tensor<2x16x2xf32>
    %b1_multiply_170 = stablehlo.multiply %b1_reduce_168, %b1_constant_169 : tensor<2x16x2xf32>
    %b1_constant_171 = stablehlo.constant dense<9.99999997e-07> : tensor<2x16x2xf32>
    %b1_add_172 = stablehlo.add %b1_multiply_170, %b1_constant_171 : tensor<2x16x2xf32>
    %b1_rsqrt_173 = stablehlo.rsqrt %b1_add_172 : tensor<2x16x2xf32>
    %b1_broadcast_174 = stablehlo.broadcast_in_dim %b1_rsqrt_173, dims = [0, 1, 2] : (tensor<2x16x2xf32>) -> tensor<2x16x2x16xf32>
    %b1_multiply_175 = stablehlo.multiply %b1_reshape_151, %b1_broadcast_174 : tensor<2x16x2x16xf32>
    %b1_broadcast_176 = stablehlo.broadcast_in_dim %block_1_key_norm_gamma, dims = [3] : (tensor<16xf32>) -> tensor<2x16x2x16xf32>
    %b1_multiply_177 = stablehlo.multiply %b1_multiply_175, %b1_broadcast_176 : tensor<2x16x2x16xf32>
    %b1_slice_178 = stablehlo.slice %rope_0_cosines [0:16, 0:8] : (tensor<192x8xf32>) -> tensor<16x8xf32>
    %b1_broadcast_179 = stablehlo.broadcast_in_dim %b1_slice_178, dims = [1, 2] : (tensor<16x8xf32>) -> tensor<2x16x8xf32>
    %b1_reshape_180 = stablehlo.reshape %b1_broadcast_179 : (tensor<2x16x8xf32>) -> tensor<32x8xf32>
    %b1_rows_181 = "stablehlo.gather"(%b1_reshape_180, %b1_add_144) {dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 8>, indices_are_sorted = false} : (tensor<32x8xf32>, tensor<2xi32>) -> tensor<2x8xf32>
    %b1_reshape_182 = stablehlo.reshape %b1_rows_181 : (tensor<2x8xf32>) -> tensor<2x1x8xf32>
    %b1_broadcast_183 = stablehlo.broadcast_in_dim %b1_reshape_182, dims = [0, 1, 3] : (tensor<2x1x8xf32>) -> tensor<2x1x4x8xf32>
    %b1_slice_184 = stablehlo.slice %rope_0_sines [0:16, 0:8] : (tensor<192x8xf32>) -> tensor<16x8xf32>
    %b1_broadcast_185 = stablehlo.broadcast_in_dim %b1_slice_184, dims = [1, 2] : (tensor<16x8xf32>) -> tensor<2x16x8xf32>
    %b1_reshape_186 = stablehlo.reshape %b1_broadcast_185 : (tensor<2x16x8xf32>) -> tensor<32x8xf32>
    %b1_rows_187 = "stablehlo.gather"(%b1_reshape_186, %b1_add_144) {dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 8>, indices_are_sorted = false} : (tensor<32x8xf32>, tensor<2xi32>) -> tensor<2x8xf32>
    %b1_reshape_188 = stablehlo.reshape %b1_rows_187 : (tensor<2x8xf32>) -> tensor<2x1x8xf32>
    %b1_broadcast_189 = stablehlo.broadcast_in_dim %b1_reshape_188, dims = [0, 1, 3] : (tensor<2x1x8xf32>) -> tensor<2x1x4x8xf32>
    %b1_slice_190 = stablehlo.slice %b1_multiply_165 [0:2, 0:1, 0:4, 0:8] : (tensor<2x1x4x16xf32>) -> tensor<2x1x4x8xf32>
    %b1_slice_191 = stablehlo.slice %b1_multiply_165 [0:2, 0:1, 0:4, 8:16] : (tensor<2x1x4x16xf32>) -> tensor<2x1x4x8xf32>
    %b1_multiply_192 = stablehlo.multiply %b1_slice_191, %b1_broadcast_189 : tensor<2x1x4x8xf32>
    %b1_multiply_193 = stablehlo.multiply %b1_slice_190, %b1_broadcast_183 : tensor<2x1x4x8xf32>
    %b1_subtract_194 = stablehlo.subtract %b1_multiply_193, %b1_multiply_192 : tensor<2x1x4x8xf32>
    %b1_multiply_195 = stablehlo.multiply %b1_slice_190, %b1_broadcast_189 : tensor<2x1x4x8xf32>
    %b1_multiply_196 = stablehlo.multiply %b1_slice_191, %b1_broadcast_183 : tensor<2x1x4x8xf32>
    %b1_add_197 = stablehlo.add %b1_multiply_196, %b1_multiply_195 : tensor<2x1x4x8xf32>
    %b1_concatenate_198 = stablehlo.concatenate %b1_subtract_194, %b1_add_197, dim = 3 : (tensor<2x1x4x8xf32>, tensor<2x1x4x8xf32>) -> tensor<2x1x4x16xf32>
    %b1_slice_199 = stablehlo.slice %rope_0_cosines [0:16, 0:8] : (tensor<192x8xf32>) -> tensor<16x8xf32>
    %b1_broadcast_200 = stablehlo.broadcast_in_dim %b1_slice_199, dims = [1, 3] : (tensor<16x8xf32>) -> tensor<2x16x2x8xf32>
    %b1_slice_201 = stablehlo.slice %rope_0_sines [0:16, 0:8] : (tensor<192x8xf32>) -> tensor<16x8xf32>
    %b1_broadcast_202 = stablehlo.broadcast_in_dim %b1_slice_201, dims = [1, 3] : (tensor<16x8xf32>) -> tensor<2x16x2x8xf32>
    %b1_slice_203 = stablehlo.slice %b1_multiply_177 [0:2, 0:16, 0:2, 0:8] : (tensor<2x16x2x16xf32>) -> tensor<2x16x2x8xf32>
    %b1_slice_204 = stablehlo.slice %b1_multiply_177 [0:2, 0:16, 0:2, 8:16] : (tensor<2x16x2x16xf32>) -> tensor<2x16x2x8xf32>
    %b1_multiply_205 = stablehlo.multiply %b1_slice_204, %b1_broadcast_202 : tensor<2x16x2x8xf32>
    %b1_multiply_206 = stablehlo.multiply %b1_slice_203, %b1_broadcast_200 : tensor<2x16x2x8xf32>
    %b1_subtract_207 = stablehlo.subtract %b1_multiply_206, %b1_multiply_205 : tensor<2x16x2x8xf32>
    %b1_multiply_208 = stablehlo.multiply %b1_slice_203, %b1_broadcast_202 : tensor<2x16x2x8xf32>
    %b1_multiply_209 = stablehlo.multiply %b1_slice_204, %b1_broadcast_200 : tensor<2x16x2x8xf32>
    %b1_add_210 = stablehlo.add %b1_multiply_209, %b1_multiply_208 : tensor<2x16x2x8xf32>
    %b1_concatenate_211 = stablehlo.concatenate %b1_subtract_207, %b1_add_210, dim = 3 : (tensor<2x16x2x8xf32>, tensor<2x16x2x8xf32>) -> tensor<2x16x2x16xf32>
    %b1_broadcast_212 = stablehlo.broadcast_in_dim %b1_concatenate_211, dims = [0, 1, 2, 4] : (tensor<2x16x2x16xf32>) -> tensor<2x16x2x2x16xf32>
    %b1_reshape_213 = stablehlo.reshape %b1_broadcast_212 : (tensor<2x16x2x2x16xf32>) -> tensor<2x16x4x16xf32>
    %b1_dot_214 = stablehlo.dot_general %b1_concatenate_198, %b1_reshape_213, batching_dims = [0, 2] x [0, 2], contracting_dims = [3] x [3], precision = [HIGHEST, HIGHEST] : (tensor<2x1x4x16xf32>, tensor<2x16x4x16xf32>) -> tensor<2x4x1x16xf32>
    %b1_constant_215 = stablehlo.constant dense<0.25> : tensor<2x4x1x16xf32>
    %b1_multiply_216 = stablehlo.multiply %b1_dot_214, %b1_constant_215 : tensor<2x4x1x16xf32>
    %b1_reshape_217 = stablehlo.reshape %b0_and_85 : (tensor<2x16x16xi1>) -> tensor<32x16xi1>
    %b1_rows_218 = "stablehlo.gather"(%b1_reshape_217, %b1_add_144) {dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 16>, indices_are_sorted = false} : (tensor<32x16xi1>, tensor<2xi32>) -> tensor<2x16xi1>
    %b1_reshape_219 = stablehlo.reshape %b1_rows_218 : (tensor<2x16xi1>) -> tensor<2x1x16xi1>
    %b1_broadcast_220 = stablehlo.broadcast_in_dim %b1_reshape_153, dims = [0, 1, 2, 4] : (tensor<2x16x2x16xf32>) -> tensor<2x16x2x2x16xf32>
    %b1_reshape_221 = stablehlo.reshape %b1_broadcast_220 : (tensor<2x16x2x2x16xf32>) -> tensor<2x16x4x16xf32>
    %b1_constant_222 = stablehlo.constant dense<-1.00000002e+30> : tensor<2x4x1x16xf32>
    %b1_broadcast_223 = stablehlo.broadcast_in_dim %b1_reshape_219, dims = [0, 2, 3] : (tensor<2x1x16xi1>) -> tensor<2x4x1x16xi1>
    %b1_select_224 = stablehlo.select %b1_broadcast_223, %b1_multiply_216, %b1_constant_222 : tensor<2x4x1x16xi1>, tensor<2x4x1x16xf32>
    %b1_constant_225 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %b1_reduce_226 = stablehlo.reduce(%b1_select_224 init: %b1_constant_225) applies stablehlo.maximum across dimensions = [3] : (tensor<2x4x1x16xf32>, tensor<f32>) -> tensor<2x4x1xf32>
    %b1_broadcast_227 = stablehlo.broadcast_in_dim %b1_reduce_226, dims = [0, 1, 2] : (tensor<2x4x1xf32>) -> tensor<2x4x1x16xf32>
    %b1_subtract_228 = stablehlo.subtract %b1_select_224, %b1_broadcast_227 : tensor<2x4x1x16xf32>
    %b1_exponential_229 = stablehlo.exponential %b1_subtract_228 : tensor<2x4x1x16xf32>
    %b1_constant_230 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_231 = stablehlo.reduce(%b1_exponential_229 init: %b1_constant_230) applies stablehlo.add across dimensions = [3] : (tensor<2x4x1x16xf32>, tensor<f32>) -> tensor<2x4x1xf32>
    %b1_broadcast_232 = stablehlo.broadcast_in_dim %b1_reduce_231, dims = [0, 1, 2] : (tensor<2x4x1xf32>) -> tensor<2x4x1x16xf32>
    %b1_divide_233 = stablehlo.divide %b1_exponential_229, %b1_broadcast_232 : tensor<2x4x1x16xf32>
    %b1_dot_234 = stablehlo.dot_general %b1_divide_233, %b1_reshape_221, batching_dims = [0, 1] x [0, 2], contracting_dims = [3] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x4x1x16xf32>, tensor<2x16x4x16xf32>) -> tensor<2x4x1x16xf32>
    %b1_transpose_235 = stablehlo.transpose %b1_dot_234, dims = [0, 2, 1, 3] : (tensor<2x4x1x16xf32>) -> tensor<2x1x4x16xf32>
    %b1_reshape_236 = stablehlo.reshape %b1_transpose_235 : (tensor<2x1x4x16xf32>) -> tensor<2x1x64xf32>
    %b1_dot_237 = stablehlo.dot_general %b1_reshape_236, %block_1_attention_output_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x64xf32>, tensor<32x64xf32>) -> tensor<2x1x32xf32>
    %b1_reshape_238 = stablehlo.reshape %b0_add_126 : (tensor<2x16x32xf32>) -> tensor<32x32xf32>
    %b1_rows_239 = "stablehlo.gather"(%b1_reshape_238, %b1_add_144) {dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 32>, indices_are_sorted = false} : (tensor<32x32xf32>, tensor<2xi32>) -> tensor<2x32xf32>
    %b1_reshape_240 = stablehlo.reshape %b1_rows_239 : (tensor<2x32xf32>) -> tensor<2x1x32xf32>
    %b1_add_241 = stablehlo.add %b1_reshape_240, %b1_dot_237 : tensor<2x1x32xf32>

    // block 1: feed-forward
    %b1_multiply_242 = stablehlo.multiply %b1_add_241, %b1_add_241 : tensor<2x1x32xf32>
    %b1_constant_243 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_244 = stablehlo.reduce(%b1_multiply_242 init: %b1_constant_243) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %b1_constant_245 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %b1_multiply_246 = stablehlo.multiply %b1_reduce_244, %b1_constant_245 : tensor<2x1xf32>
    %b1_constant_247 = stablehlo.constant dense<9.99999997e-07> : tensor<2x1xf32>
    %b1_add_248 = stablehlo.add %b1_multiply_246, %b1_constant_247 : tensor<2x1xf32>
    %b1_rsqrt_249 = stablehlo.rsqrt %b1_add_248 : tensor<2x1xf32>
    %b1_broadcast_250 = stablehlo.broadcast_in_dim %b1_rsqrt_249, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %b1_multiply_251 = stablehlo.multiply %b1_add_241, %b1_broadcast_250 : tensor<2x1x32xf32>
    %b1_broadcast_252 = stablehlo.broadcast_in_dim %block_1_output_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b1_multiply_253 = stablehlo.multiply %b1_multiply_251, %b1_broadcast_252 : tensor<2x1x32xf32>
    %b1_dot_254 = stablehlo.dot_general %b1_multiply_253, %block_1_up_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x32xf32>, tensor<48x32xf32>) -> tensor<2x1x48xf32>
    %b1_dot_255 = stablehlo.dot_general %b1_multiply_253, %block_1_gate_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x32xf32>, tensor<48x32xf32>) -> tensor<2x1x48xf32>
    %b1_negate_256 = stablehlo.negate %b1_dot_255 : tensor<2x1x48xf32>
    %b1_exponential_257 = stablehlo.exponential %b1_negate_256 : tensor<2x1x48xf32>
    %b1_constant_258 = stablehlo.constant dense<1.0> : tensor<2x1x48xf32>
    %b1_add_259 = stablehlo.add %b1_exponential_257, %b1_constant_258 : tensor<2x1x48xf32>
    %b1_divide_260 = stablehlo.divide %b1_dot_255, %b1_add_259 : tensor<2x1x48xf32>
    %b1_multiply_261 = stablehlo.multiply %b1_divide_260, %b1_dot_254 : tensor<2x1x48xf32>
    %b1_dot_262 = stablehlo.dot_general %b1_multiply_261, %block_1_down_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x48xf32>, tensor<32x48xf32>) -> tensor<2x1x32xf32>
    %b1_add_263 = stablehlo.add %b1_add_241, %b1_dot_262 : tensor<2x1x32xf32>

    // head
    %head_multiply_264 = stablehlo.multiply %b1_add_263, %b1_add_263 : tensor<2x1x32xf32>
    %head_constant_265 = stablehlo.constant dense<0.0> : tensor<f32>
    %head_reduce_266 = stablehlo.reduce(%head_multiply_264 init: %head_constant_265) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %head_constant_267 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %head_multiply_268 = stablehlo.multiply %head_reduce_266, %head_constant_267 : tensor<2x1xf32>
    %head_constant_269 = stablehlo.constant dense<9.99999997e-07> : tensor<2x1xf32>
    %head_add_270 = stablehlo.add %head_multiply_268, %head_constant_269 : tensor<2x1xf32>
    %head_rsqrt_271 = stablehlo.rsqrt %head_add_270 : tensor<2x1xf32>
    %head_broadcast_272 = stablehlo.broadcast_in_dim %head_rsqrt_271, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %head_multiply_273 = stablehlo.multiply %b1_add_263, %head_broadcast_272 : tensor<2x1x32xf32>
    %head_broadcast_274 = stablehlo.broadcast_in_dim %final_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %head_multiply_275 = stablehlo.multiply %head_multiply_273, %head_broadcast_274 : tensor<2x1x32xf32>
    %head_reshape_276 = stablehlo.reshape %head_multiply_275 : (tensor<2x1x32xf32>) -> tensor<2x32xf32>
    %head_dot_277 = stablehlo.dot_general %head_reshape_276, %head_output_weight, contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x32xf32>, tensor<1x32xf32>) -> tensor<2x1xf32>
    %head_reshape_278 = stablehlo.reshape %head_dot_277 : (tensor<2x1xf32>) -> tensor<2xf32>
    return %head_reshape_278 : tensor<2xf32>
  }
}
